"""Serving of releases, and a client for TensorFlow Serving.

The public API of the `keras_dl_serving` package, imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras_dl_serving

if TYPE_CHECKING:
    from keras_dl_serving import *  # noqa: F403

__all__ = keras_dl_serving.__all__


def __getattr__(name: str) -> Any:
    return getattr(keras_dl_serving, name)


def __dir__() -> list[str]:
    return dir(keras_dl_serving)
