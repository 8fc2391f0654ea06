"""Values and sizes that occur in production but not in draws from (-1, 1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.specs import Spec

LARGE, ZEROS, NON_FINITE = "large", "zeros", "non-finite"
NEGATIVE_INTEGERS, WHOLE_RANGE = "negative integers", "whole range"
ABOVE_2_24, ABOVE_2_31 = "integers above 2^24", "integers above 2^31"
WILD_INTEGERS = (NEGATIVE_INTEGERS, WHOLE_RANGE, ABOVE_2_24, ABOVE_2_31)
ODD_SIZES, SIZE_ONE, WINDOW_SIZES = "odd sizes", "size 1", "sizes at windows"

_LARGEST = 100.0
# Adjacent, so that they are equal in float32, and unsorted, so that sorting has an effect.
_ABOVE_2_24 = [1_700_000_003, 1_700_000_001, 1_700_000_002, 16_777_217, 16_777_219, 16_777_218, 33_554_435]
_ABOVE_2_31 = [1_700_000_000_123, 5_000_000_003, 5_000_000_001, 5_000_000_002, 2_147_483_649, 2**53 + 1]
_MANY_SIZES, _FEW_SIZES = 8, 3


def large(shape: tuple[int, ...], dtype: np.dtype[Any], random: np.random.Generator) -> NDArray[Any]:
    """Return values of both signs, most of them near +-100; the next example has the opposite sign."""
    count = int(np.prod(shape))
    length = int(np.prod(shape[1:]))
    magnitudes = random.uniform(0.9 * _LARGEST, _LARGEST, count)
    smaller = random.random(count) < 0.25
    magnitudes[smaller] = random.uniform(1.0, 0.9 * _LARGEST, int(smaller.sum()))
    places = np.arange(count)
    signs = 1.0 - 2.0 * ((places % max(length, 1) + places // max(length, 1)) % 2)
    return np.asarray(magnitudes * signs).reshape(shape).astype(dtype)


def non_finite(drawn: NDArray[Any], values: Sequence[float]) -> NDArray[Any]:
    """Return drawn values with every second one replaced by a given value, another one for each example."""
    changed = drawn.copy()
    for row, example in enumerate(changed.reshape(len(drawn) if drawn.ndim else 1, -1)):
        example[::2] = values[row % len(values)]
    return changed


def wild_integers(kind: str, dtype: np.dtype[Any], constants: Iterable[int]) -> list[int]:
    """Return integers of a kind that `dtype` can represent, the most useful first; possibly none.

    Args:
        kind: NEGATIVE_INTEGERS, WHOLE_RANGE, ABOVE_2_24 or ABOVE_2_31.
        dtype: the dtype of the input.
        constants: integers with which the model compares or by which it divides; the result includes values
            near them.
    """
    limits = np.iinfo(dtype)
    if kind == WHOLE_RANGE:
        if dtype.itemsize > 2:
            return []
        return [limits.max, limits.min, 3, limits.max // 2, limits.max // 2 + 1, 1, limits.max - 1, 7]
    near = [value for constant in constants for value in (constant + 1, constant - 1, constant)]
    if kind == NEGATIVE_INTEGERS:
        near = [value for value in near if 1 < value < 2**24]
        found = [-1, 3, -7, 100, -100, *(-value for value in near), -2, *near, 1000, -1000, 0, 1]
        if limits.min == 0:
            return []
    elif kind == ABOVE_2_24:
        near = [value for value in near if 2**24 < value < 2**31 - 1]
        found = [*_ABOVE_2_24[:3], *near, *_ABOVE_2_24[3:], *(-value for value in _ABOVE_2_24)]
    else:
        near = [value for value in near if 2**31 - 1 < value < 2**62]
        found = [*_ABOVE_2_31[:4], *near, *_ABOVE_2_31[4:], *(-value for value in _ABOVE_2_31)]
    found = [value for value in found if limits.min <= value <= limits.max]
    if kind in (ABOVE_2_24, ABOVE_2_31) and not any(value > 2**24 for value in found):
        return []
    if kind == ABOVE_2_31 and not any(value >= 2**31 for value in found):
        return []
    return found


def filled(pool: Sequence[int], shape: tuple[int, ...], dtype: np.dtype[Any], first: int) -> NDArray[Any]:
    """Return an array filled with the values of a pool, cyclically from `first` on."""
    return np.resize(np.roll(np.array(pool, dtype), -first), shape)


def window_sizes(layers: Iterable[Any]) -> list[tuple[int, int]]:
    """Return (height, width) of the crops and windows of layers; the width is 0 for windows over time."""
    found: dict[tuple[int, int], None] = {}
    for layer in layers:
        crop = (getattr(layer, "height", None), getattr(layer, "width", None))
        for size in (crop, getattr(layer, "kernel_size", None), getattr(layer, "pool_size", None)):
            size = (size,) if isinstance(size, int) else tuple(size or ())
            dilation = getattr(layer, "dilation_rate", 1) if size != crop else 1
            spread = dilation if isinstance(dilation, tuple) else (dilation,) * len(size)
            whole = [
                each * step - step + 1
                for each, step in zip(size, spread, strict=False)
                if isinstance(each, int)
            ]
            if whole and max(whole) > 1 and len(whole) in (1, 2):
                found[(whole[0], whole[1] if len(whole) == 2 else 0)] = None
    return sorted(found, reverse=True)


def size_variants(
    inputs: Mapping[str, Spec],
    base: Mapping[str, int],
    windows: Sequence[tuple[int, int]],
    *,
    equal: bool,
    large_model: bool,
) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield further sizes of the dynamic axes other than the batch, each with its kind.

    Args:
        inputs: the endpoint's inputs.
        base: the sizes of a sample that the model supports.
        windows: the result of `window_sizes`.
        equal: whether the dynamic axes of all inputs must have equal sizes.
        large_model: whether to yield only a few sizes, because each is expensive.
    """
    heights, widths, times = _free_axes(inputs)
    if not (heights or widths or times):
        return

    def sizes(height: int, width: int, time: int) -> dict[str, int]:
        step = 0 if equal else 1
        found = dict(base)
        for words, size in ((heights, height), (widths, width), (times, time)):
            found.update({word: max(size + step * place, 1) for place, word in enumerate(words)})
        return found

    chosen = [(SIZE_ONE, {**base, **dict.fromkeys([*heights, *widths, *times], 1)})]
    chosen.append((ODD_SIZES, sizes(37, 53, 11)))
    for height, width in windows:
        if width == 0 or not (heights or widths):
            if times:
                chosen += [(WINDOW_SIZES, sizes(37, 53, height + step)) for step in (-1, 1, 0)]
        elif heights or widths:
            for tall, wide in ((-1, 1), (1, -1), (-1, -1), (0, 0)):
                chosen.append((WINDOW_SIZES, sizes(height + tall, width + wide, 11)))
    seen: list[dict[str, int]] = [dict(base)]
    for kind, size in chosen:
        if size not in seen:
            seen.append(size)
            yield kind, size
        if len(seen) > (_FEW_SIZES if large_model else _MANY_SIZES):
            return


def _free_axes(inputs: Mapping[str, Spec]) -> tuple[list[str], list[str], list[str]]:
    """Return the names of the dynamic axes: the heights and widths of images, and all others."""
    heights: dict[str, None] = {}
    widths: dict[str, None] = {}
    times: dict[str, None] = {}
    for spec in inputs.values():
        for axis, word in enumerate(spec.shape[1:], 1):
            if isinstance(word, str):
                image = len(spec.shape) == 4 and axis < 3
                ({1: heights, 2: widths}[axis] if image else times)[word] = None
    return [*heights], [*widths], [*times]
