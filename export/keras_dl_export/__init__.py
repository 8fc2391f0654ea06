"""Any Keras 3 model -> a release. Names are imported on first use: importing this costs no TensorFlow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_dl_export.accuracy import Accuracy
    from keras_dl_export.artifact import Artifact
    from keras_dl_export.backend import require_tensorflow_backend
    from keras_dl_export.cases import draw_inputs
    from keras_dl_export.conversion import to_onnx, to_saved_model, to_tflite
    from keras_dl_export.endpoints import Endpoint
    from keras_dl_export.errors import (
        AccuracyError,
        BackendError,
        ConversionError,
        ExportError,
        ParityError,
        ReleaseError,
    )
    from keras_dl_export.exporter import export
    from keras_dl_export.latency import Latency, measure_latency
    from keras_dl_export.parity import Comparison, Parity
    from keras_dl_export.release import Release, list_versions, open_release
    from keras_dl_export.runtime import Runner, load_artifact
    from keras_dl_export.specs import Spec
    from keras_dl_export.timing import time_release
    from keras_dl_export.verification import verify

_MODULES = {
    "Accuracy": "accuracy",
    "AccuracyError": "errors",
    "Artifact": "artifact",
    "BackendError": "errors",
    "Comparison": "parity",
    "ConversionError": "errors",
    "Endpoint": "endpoints",
    "ExportError": "errors",
    "Latency": "latency",
    "Parity": "parity",
    "ParityError": "errors",
    "Release": "release",
    "ReleaseError": "errors",
    "Runner": "runtime",
    "Spec": "specs",
    "draw_inputs": "cases",
    "export": "exporter",
    "list_versions": "release",
    "load_artifact": "runtime",
    "measure_latency": "latency",
    "open_release": "release",
    "require_tensorflow_backend": "backend",
    "time_release": "timing",
    "to_onnx": "conversion",
    "to_saved_model": "conversion",
    "to_tflite": "conversion",
    "verify": "verification",
}

__all__ = [
    "Accuracy",
    "AccuracyError",
    "Artifact",
    "BackendError",
    "Comparison",
    "ConversionError",
    "Endpoint",
    "ExportError",
    "Latency",
    "Parity",
    "ParityError",
    "Release",
    "ReleaseError",
    "Runner",
    "Spec",
    "draw_inputs",
    "export",
    "list_versions",
    "load_artifact",
    "measure_latency",
    "open_release",
    "require_tensorflow_backend",
    "time_release",
    "to_onnx",
    "to_saved_model",
    "to_tflite",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"keras_dl_export.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_dl_export' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
