"""Deviation of a function of images from shift equivariance and shift invariance (notes 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_dl.theory.numeric_arguments import Array, check_array
from keras_dl_export.arguments import check_int


def shift_images(images: ArrayLike, rows: int, columns: int, *, wrap: bool = False) -> Array:
    """Return T(x): the content moved down by `rows` and right by `columns`; negative: up and left.

    Args:
        images: (B, H, W, C).
        rows: pixels down.
        columns: pixels to the right.
        wrap: fill with the content from the opposite border; otherwise fill with zeros.

    Returns:
        Images (B, H, W, C).
    """
    x = check_array("images", images, None, None, None, None)
    moved = np.roll(x, (rows, columns), axis=(1, 2))
    if wrap:
        return moved
    for axis, by in ((1, rows), (2, columns)):
        index = [slice(None)] * 4
        index[axis] = slice(0, by) if by >= 0 else slice(by, None)
        moved[tuple(index)] = 0
    return moved


def equivariance_gap(
    function: Callable[[Any], Any],
    images: ArrayLike,
    rows: int,
    columns: int,
    *,
    stride: int = 1,
    border: int = 0,
) -> float:
    """Return mean |f(T x) - T' f(x)| / mean |f(x)|, which is 0 if f is shift equivariant.

    T' moves the output by 1/stride times the pixels of T. If the stride does not divide them, T' is rounded
    to the nearest whole shift.

    Args:
        function: f, images (B, H, W, C) -> feature maps (B, H', W', F).
        images: x.
        rows: pixels down.
        columns: pixels to the right.
        stride: pixels of the input per position of the output.
        border: the number of positions excluded at each border of the output, where T filled in zeros that
            are not in x.

    Raises:
        ValueError: no position remains inside the border.

    Reference: notes 3.3.
    """
    check_int("stride", stride)
    check_int("border", border, 0)
    before = np.asarray(function(np.asarray(images, np.float32)), np.float64)
    after = np.asarray(function(shift_images(images, rows, columns).astype(np.float32)), np.float64)
    height, width = before.shape[1:3]
    if 2 * border >= min(height, width):
        raise ValueError(
            f"border: expected less than half of the {height} x {width} positions, got {border}. Pass a "
            "smaller border."
        )
    moved = shift_images(before, _nearest(rows, stride), _nearest(columns, stride))
    inside = (slice(None), slice(border, height - border), slice(border, width - border))
    return _relative(after[inside], moved[inside])


def invariance_gap(function: Callable[[Any], Any], images: ArrayLike, rows: int, columns: int) -> float:
    """Return mean |f(T x) - f(x)| / mean |f(x)|, which is 0 if f is shift invariant.

    Args:
        function: f, images (B, H, W, C) -> any array.
        images: x.
        rows: pixels down.
        columns: pixels to the right.

    Reference: notes 3.3.
    """
    before = np.asarray(function(np.asarray(images, np.float32)), np.float64)
    after = np.asarray(function(shift_images(images, rows, columns).astype(np.float32)), np.float64)
    return _relative(after, before)


def _nearest(pixels: int, stride: int) -> int:
    return int(np.floor(pixels / stride + 0.5))


def _relative(found: Array, expected: Array) -> float:
    size = np.abs(expected).mean()
    gap = np.abs(found - expected).mean()
    return float(gap / size) if size else float(gap > 0)
