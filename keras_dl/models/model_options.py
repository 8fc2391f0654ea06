"""The arguments that every Keras model takes, for type checkers: Keras ships no types."""

from __future__ import annotations

from typing import Any, TypedDict


class ModelOptions(TypedDict, total=False):
    """Arguments of `keras.Model`.

    Attributes:
        name: the model's name.
        dtype: the dtype, or the dtype policy.
        trainable: whether the weights are trained.
        autocast: whether inputs are cast to the compute dtype.
    """

    name: str | None
    dtype: Any
    trainable: bool
    autocast: bool
