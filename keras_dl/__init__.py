"""Deep learning from the equation to the endpoint.

Submodules are imported when they are first used, so that ``import keras_dl`` (and with it the serving
client) costs no TensorFlow import:

    >>> import keras_dl as kdl
    >>> model = kdl.models.CNN(num_classes=10, image_shape=(28, 28, 1))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from keras_dl import (
        callbacks,
        data,
        export,
        layers,
        metrics,
        models,
        recipes,
        serving,
        theory,
        training,
    )
    from keras_dl.models import load_model

_SUBMODULES = (
    "callbacks",
    "data",
    "export",
    "layers",
    "metrics",
    "models",
    "recipes",
    "serving",
    "theory",
    "training",
)

__all__ = [
    "callbacks",
    "data",
    "export",
    "layers",
    "load_model",
    "metrics",
    "models",
    "recipes",
    "serving",
    "theory",
    "training",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"keras_dl.{name}")
    if name == "load_model":
        return importlib.import_module("keras_dl.models").load_model
    raise AttributeError(f"module 'keras_dl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
