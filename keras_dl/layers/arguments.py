"""Checks of constructor arguments: each returns what it was given, or says what was wrong with it."""

from __future__ import annotations

from typing import Any

from keras_dl_export.arguments import check_int


def check_sizes(name: str, value: Any) -> tuple[int, ...]:
    """`value` as a tuple, once it is a sequence of positive ints, such as the widths of layers.

    Args:
        name: the argument's name.
        value: what was passed.

    Raises:
        ValueError: it is anything else.
    """
    if not isinstance(value, list | tuple):
        raise ValueError(
            f"{name}: expected a tuple of ints, one a layer, got {value!r}. For a single layer of 64 pass "
            "(64,)."
        )
    return tuple(check_int(name, size) for size in value)


def check_choice(name: str, value: Any, *choices: str) -> Any:
    """`value`, once it is one of the choices.

    Args:
        name: the argument's name.
        value: what was passed.
        *choices: what may be passed.

    Raises:
        ValueError: it is anything else.
    """
    if value not in choices:
        raise ValueError(
            f"{name}: expected {' or '.join(map(repr, choices))}, got {value!r}. Name one of them."
        )
    return value


def check_rate(name: str, value: Any) -> float:
    """`value`, once it is a share of at least 0 and below 1, such as dropout takes.

    Args:
        name: the argument's name.
        value: what was passed.

    Raises:
        ValueError: it is anything else.
    """
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(
            f"{name}: expected a share of at least 0 and below 1, got {value!r}. 0 turns it off."
        )
    return value


def check_image_shape(value: Any) -> tuple[int, int, int]:
    """`value` as a tuple, once it is (height, width, channels).

    Args:
        value: what was passed as `image_shape`.

    Raises:
        ValueError: it is anything else.
    """
    shape = tuple(value) if isinstance(value, list | tuple) else ()
    try:
        height, width, channels = (check_int("image_shape", size) for size in shape)
    except ValueError:
        raise ValueError(
            f"image_shape: expected (height, width, channels), three positive ints, got {value!r}. "
            "Gray images of 28 x 28 pixels are (28, 28, 1)."
        ) from None
    return height, width, channels
