"""The models that benchmarks/serving.py serves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_dl.export import export
from keras_dl.models import CNN


def save_all(folder: str | Path) -> None:
    """Write `cnn`, `cnn_onnx` and `cnn_tflite`, which are one model, `half_plus_two` and `mean`."""
    folder = Path(folder)
    cnn = export(CNN.from_preset("cnn-mnist"), folder / "cnn", formats=("saved_model", "tflite", "onnx")).path
    shutil.copytree(cnn / "onnx", folder / "cnn_onnx" / "1" / "onnx")
    (folder / "cnn_tflite" / "1").mkdir(parents=True)
    shutil.copy(cnn / "model.tflite", folder / "cnn_tflite" / "1")
    _save(folder / "half_plus_two" / "1", (None,), lambda x: {"y": x / 2.0 + 2.0})
    _save(folder / "mean" / "1", (None, 224, 224, 3), lambda x: {"mean": tf.reduce_mean(x, axis=(1, 2, 3))})


def _save(folder: Path, shape: tuple[int | None, ...], function: Any) -> None:
    module = tf.Module()
    module.f = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32, name="x")])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.f})
