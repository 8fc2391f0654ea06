"""The sizes that convolution and pooling leave (notes 3.1 and 3.2)."""

from __future__ import annotations

from typing import Any


def conv_output_size(size: int, *, kernel_size: int, stride: int = 1, padding: int = 0) -> int:
    """H' = floor((H - K + 2 p) / s) + 1, the number of places at which the kernel fits.

    The notes write the formula without the floor; a remainder is a strip at the far border that no kernel
    reaches.

    Args:
        size: H, the input's height or width.
        kernel_size: K.
        stride: s.
        padding: p, zeros added at each of the two borders.

    Returns:
        H', the output's height or width.

    Raises:
        ValueError: an argument is not an int in its range, or the kernel does not fit into the padded input.
    """
    for name, value, least in (
        ("size", size, 1),
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
    ):
        _check(name, value, least)
    if kernel_size > size + 2 * padding:
        raise ValueError(
            f"kernel_size: expected at most {size + 2 * padding}, the size {size} with padding {padding} at "
            f"both ends, got {kernel_size}. Take a smaller kernel or more padding."
        )
    return (size - kernel_size + 2 * padding) // stride + 1


def pool_output_size(size: int, pool_size: int) -> int:
    """H' = floor((H - K) / K) + 1, the number of whole windows.

    Args:
        size: H, the input's height or width.
        pool_size: K, the window's height or width, and its stride.

    Returns:
        H', the output's height or width.

    Raises:
        ValueError: an argument is not a positive int, or the window is larger than the input.
    """
    _check("size", size, 1)
    _check("pool_size", pool_size, 1)
    if pool_size > size:
        raise ValueError(
            f"pool_size: expected at most the size {size}, got {pool_size}. Take a smaller window."
        )
    return conv_output_size(size, kernel_size=pool_size, stride=pool_size)


def _check(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: expected an int of at least {least}, got {value!r}. Pass {least} or more.")
