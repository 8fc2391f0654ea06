"""Checks of constructor arguments: each returns a valid value and raises `ValueError` for any other."""

from __future__ import annotations

from typing import Any

from keras_dl_export.arguments import check_int


def check_sizes(name: str, value: Any) -> tuple[int, ...]:
    """Return `value`, a list or tuple of positive ints such as the widths of layers, as a tuple.

    Args:
        name: the argument's name.
        value: the value passed.

    Raises:
        ValueError: `value` is anything else.
    """
    if not isinstance(value, list | tuple):
        raise ValueError(
            f"{name}: expected a tuple of ints, one per layer, got {value!r}. For a single layer of "
            "64 units pass (64,)."
        )
    return tuple(check_int(name, size) for size in value)


def check_choice(name: str, value: Any, *choices: str) -> Any:
    """Return `value` if it is one of `choices`.

    Args:
        name: the argument's name.
        value: the value passed.
        *choices: the accepted values.

    Raises:
        ValueError: `value` is anything else.
    """
    if value not in choices:
        raise ValueError(
            f"{name}: expected {' or '.join(map(repr, choices))}, got {value!r}. Pass one of them."
        )
    return value


def check_rate(name: str, value: Any) -> float:
    """Return `value` if it is a fraction of at least 0 and below 1, such as a dropout rate.

    Args:
        name: the argument's name.
        value: the value passed.

    Raises:
        ValueError: `value` is anything else.
    """
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(
            f"{name}: expected a fraction of at least 0 and below 1, got {value!r}. Pass 0 to disable it."
        )
    return value


def check_image_shape(value: Any) -> tuple[int, int, int]:
    """Return `value`, a list or tuple (height, width, channels), as a tuple.

    Args:
        value: the value passed as `image_shape`.

    Raises:
        ValueError: `value` is anything else.
    """
    shape = tuple(value) if isinstance(value, list | tuple) else ()
    try:
        height, width, channels = (check_int("image_shape", size) for size in shape)
    except ValueError:
        raise ValueError(
            f"image_shape: expected (height, width, channels), three positive ints, got {value!r}. "
            "For gray images of 28 x 28 pixels pass (28, 28, 1)."
        ) from None
    return height, width, channels
