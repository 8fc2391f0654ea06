"""The warm-up requests that TensorFlow Serving runs before it serves a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import prediction_log_pb2

from keras_dl_export.tracing import Signature

_WARMUP_REQUESTS = Path("assets.extra", "tf_serving_warmup_requests")


def write_warmup_requests(signatures: Mapping[str, Signature], folder: Path) -> None:
    """Write one Predict request per endpoint to the file that TensorFlow Serving runs first."""
    path = folder / _WARMUP_REQUESTS
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, signature in signatures.items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = name
            for key, array in signature.samples[0].inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(array, dtype=signature.inputs[key].dtype))
            writer.write(log.SerializeToString())


def read_warmup_requests(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the inputs of the requests: real examples, if the model was exported with some."""
    inputs = {}
    for record in tf.data.TFRecordDataset(str(folder / _WARMUP_REQUESTS)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        inputs.update({key: tf.make_ndarray(value) for key, value in log.predict_log.request.inputs.items()})
    return inputs
