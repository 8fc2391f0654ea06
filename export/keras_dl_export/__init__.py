"""Any Keras 3 model -> a release. Names are imported on first use: importing the package costs no TensorFlow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_dl_export.endpoints import Endpoint, Spec

_MODULES = {"Endpoint": "endpoints", "Spec": "endpoints"}

__all__ = ["Endpoint", "Spec"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"keras_dl_export.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_dl_export' has no attribute {name!r}")
