"""Time and memory of exporting MobileNetV2 with keras_dl and with the bare converters.

Each export runs in a separate process, which starts with the imports and the untrained model. The time is
that of the export only; the memory is the peak of the process.
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
    """The cost of an export: seconds, and peak memory in megabytes."""

    seconds: float
    megabytes: float


def measure(side: str, format: str) -> Cost:
    """Export once and return the cost.

    Args:
        side: "ours", checked in each file's own runtime, or "bare", the converters without checks.
        format: one of `FORMATS`; a release contains a SavedModel, TFLite and ONNX.
    """
    # The peak memory of a direct child would include that of the benchmark, because the peak survives exec.
    # Children of the fork server start small.
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
    """Export as the converters' documentation describes: a SavedModel first, then its conversion."""
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
