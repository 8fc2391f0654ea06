"""Any Keras 3 model -> a release. Names are imported on first use: importing this costs no TensorFlow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_dl_export.backend import require_tensorflow_backend
    from keras_dl_export.endpoints import Endpoint, Spec
    from keras_dl_export.errors import BackendError, ConversionError, ExportError, ParityError, ReleaseError

_MODULES = {
    "BackendError": "errors",
    "ConversionError": "errors",
    "Endpoint": "endpoints",
    "ExportError": "errors",
    "ParityError": "errors",
    "ReleaseError": "errors",
    "Spec": "endpoints",
    "require_tensorflow_backend": "backend",
}

__all__ = [
    "BackendError",
    "ConversionError",
    "Endpoint",
    "ExportError",
    "ParityError",
    "ReleaseError",
    "Spec",
    "require_tensorflow_backend",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"keras_dl_export.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_dl_export' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
