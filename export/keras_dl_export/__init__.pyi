from .api import export, to_onnx, to_saved_model, to_tflite, verify
from .backend import require_tensorflow_backend
from .endpoints import Endpoint
from .errors import (
    AccuracyError,
    BackendError,
    ConversionError,
    ExportError,
    KerasDLError,
    ParityError,
    ReleaseError,
)
from .loading import load_artifact
from .measure.latency import measure_latency
from .measure.timing import time_release
from .release import Release, list_versions, open_release
from .results import Accuracy, Artifact, Comparison, Latency, Parity
from .runner import IntegerScale, Runner
from .samples.drawing import draw_inputs
from .specs import Spec

__all__ = [
    "Accuracy",
    "AccuracyError",
    "Artifact",
    "BackendError",
    "Comparison",
    "ConversionError",
    "Endpoint",
    "ExportError",
    "IntegerScale",
    "KerasDLError",
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
