"""Release of Keras 3 models.

The public API of the `keras_dl_export` package, imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras_dl_export

if TYPE_CHECKING:
    from keras_dl_export import *  # noqa: F403

__all__ = keras_dl_export.__all__


def __getattr__(name: str) -> Any:
    return getattr(keras_dl_export, name)


def __dir__() -> list[str]:
    return dir(keras_dl_export)
