"""Argument checks without Keras: each returns a valid value and raises `ValueError` for any other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def check_positive(name: str, value: Any, what: str = "number") -> float:
    """Return `value` if it is a positive finite number."""
    if not 0 < value < np.inf:
        raise ValueError(f"{name}: expected a positive {what}, got {value!r}. Pass 0.05, for example.")
    return float(value)


def check_interval(low: float, high: float) -> tuple[float, float]:
    """Return `(low, high)` if low < high."""
    if not low < high:
        raise ValueError(f"high: expected a number above low={low!r}, got {high!r}. Swap the two.")
    return float(low), float(high)


def check_array(name: str, value: ArrayLike, *shape: int | None) -> Array:
    """Return `value` as an array of float64 if it has the given shape, in which None is any size."""
    array = np.asarray(value, np.float64)
    matches = array.ndim == len(shape) and all(
        expected in (None, size) for expected, size in zip(shape, array.shape, strict=True)
    )
    if not matches:
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{name}: expected an array of shape ({sizes}), got {array.shape}. Check the order of the axes."
        )
    return array
