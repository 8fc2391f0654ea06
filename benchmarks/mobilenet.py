"""MobileNetV2 exported by keras_dl, and by the bare converters: how long it takes, and how much memory.

Each export runs in a process of its own, which begins with the imports and the untrained model. The time is
that of the export alone, the memory is the most that the process ever held.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMATS = ("release", "onnx", "tflite")
_OPSET = 18


@dataclass(frozen=True)
class Cost:
    """What an export took: seconds, and megabytes at most."""

    seconds: float
    megabytes: float


def measure(side: str, format: str) -> Cost:
    """Export once.

    Args:
        side: "ours", proven in each file's own runtime, or "bare", the converters as they come.
        format: one of `FORMATS`; a release holds a SavedModel, TFLite and ONNX.
    """
    # A child of the benchmark itself would count the benchmark's memory as its own: the most that a process
    # held outlives exec. Children of the fork server begin small.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([])
    with context.Pool(1, maxtasksperchild=1) as pool:
        return pool.apply(_export, (side, format))


def _export(side: str, format: str) -> Cost:
    import keras

    import keras_dl_export
    from keras_dl_export.quiet import silence

    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder, silence():
        model = keras.applications.MobileNetV2(weights=None)
        exports: dict[str, Callable[[Any, Path], object]] = {
            "bare": lambda model, target: _bare(model, target, format),
            "tflite": keras_dl_export.to_tflite,
            "onnx": keras_dl_export.to_onnx,
            "release": keras_dl_export.export,
        }
        write = exports["bare" if side == "bare" else format]
        began = time.perf_counter()
        write(model, Path(folder, "model"))
        seconds = time.perf_counter() - began
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Cost(seconds, most / (2**20 if sys.platform == "darwin" else 2**10))


def _bare(model: Any, target: Path, format: str) -> None:
    """What their documentation tells: a SavedModel first, then its conversion."""
    import tensorflow as tf

    model.export(str(target), verbose=False)
    if format in ("tflite", "release"):
        content = tf.lite.TFLiteConverter.from_saved_model(str(target)).convert()
        target.with_suffix(".tflite").write_bytes(content)
    if format in ("onnx", "release"):
        from tf2onnx import convert

        paths = ["--saved-model", str(target), "--output", str(target.with_suffix(".onnx"))]
        sys.argv = ["tf2onnx", *paths, "--opset", str(_OPSET)]
        convert.main()
