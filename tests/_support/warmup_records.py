"""Warm-up requests in the file that TensorFlow Serving reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_dl_serving.protocol.wire import messages, tensors
from keras_dl_serving.server.warmup import WARMUP_FILE


def predict_log(value: float, name: str = "x") -> messages.PredictionLog:
    log = messages.PredictionLog()
    tensors.write(np.float32([value]), log.predict_log.request.inputs[name], as_content=True)
    return log


def write_warmup(folder: Path, *logs: bytes) -> None:
    file = folder / WARMUP_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for log in logs:
            writer.write(log)
