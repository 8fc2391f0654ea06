"""Checks of arguments that need no Keras: each returns what it was given, or says what was wrong with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def check_positive(name: str, value: Any, what: str = "number") -> float:
    """`value`, once it is a positive finite number."""
    if not 0 < value < np.inf:
        raise ValueError(f"{name}: expected a positive {what}, got {value!r}. Pass 0.05, for example.")
    return float(value)


def check_interval(low: float, high: float) -> tuple[float, float]:
    """`(low, high)`, once low < high."""
    if not low < high:
        raise ValueError(f"high: expected a number above low={low!r}, got {high!r}. Exchange the two.")
    return float(low), float(high)


def check_array(name: str, value: ArrayLike, *shape: int | None) -> Array:
    """`value` as an array of float64, once it has that shape, in which None is any size."""
    array = np.asarray(value, np.float64)
    fits = array.ndim == len(shape) and all(
        asked in (None, size) for asked, size in zip(shape, array.shape, strict=True)
    )
    if not fits:
        asked = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{name}: expected an array of shape ({asked}), got {array.shape}. Mind the order of the axes."
        )
    return array
