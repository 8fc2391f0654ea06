from .backend import require_tensorflow_backend
from .cases import draw_inputs
from .conversion import to_onnx, to_saved_model, to_tflite
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
from .exporter import export
from .latency import measure_latency
from .loading import load_artifact
from .release import Release, list_versions, open_release
from .results import Accuracy, Artifact, Comparison, Latency, Parity
from .runner import IntegerScale, Runner
from .specs import Spec
from .timing import time_release
from .verification import verify

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
