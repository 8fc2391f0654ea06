"""Output sizes of convolution and pooling (notes 3.1 and 3.2), and convolution as a matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from keras_dl.theory.numeric_arguments import Array, check_array
from keras_dl_export.arguments import check_int


def conv_output_size(size: int, *, kernel_size: int, stride: int = 1, padding: int = 0) -> int:
    """Return H' = floor((H - K + 2 p) / s) + 1, the number of positions of the kernel.

    The notes write the formula without the floor; a remainder is a strip at the far border that the kernel
    does not reach.

    Args:
        size: H, the height or width of the input.
        kernel_size: K.
        stride: s.
        padding: p, the number of zeros added at each border.

    Returns:
        H', the height or width of the output.

    Raises:
        ValueError: an argument is not an int in its range, or the kernel is larger than the padded input.
    """
    for name, value, least in (
        ("size", size, 1),
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
    ):
        check_int(name, value, least)
    if kernel_size > size + 2 * padding:
        raise ValueError(
            f"kernel_size: expected at most {size + 2 * padding}, the size {size} with padding {padding} at "
            f"both ends, got {kernel_size}. Pass a smaller kernel or more padding."
        )
    return (size - kernel_size + 2 * padding) // stride + 1


def pool_output_size(size: int, pool_size: int) -> int:
    """Return H' = floor((H - K) / K) + 1, the number of complete windows.

    Args:
        size: H, the height or width of the input.
        pool_size: K, the height or width of the window, and its stride.

    Returns:
        H', the height or width of the output.

    Raises:
        ValueError: an argument is not a positive int, or the window is larger than the input.
    """
    check_int("size", size, 1)
    check_int("pool_size", pool_size, 1)
    if pool_size > size:
        raise ValueError(
            f"pool_size: expected at most the size {size}, got {pool_size}. Pass a smaller window."
        )
    return conv_output_size(size, kernel_size=pool_size, stride=pool_size)


def convolution_matrix(
    kernel: ArrayLike, height: int, width: int, *, stride: int = 1, padding: int = 0
) -> Array:
    """Return a convolution as the kernel of a dense layer: sparse, with shared weights.

        vec(y) = vec(x) M,  M[(h, w, c), (i, j, f)] = K[h - s i + p, w - s j + p, c, f], 0 outside the kernel

    Args:
        kernel: K, (height, width, C, F).
        height: H of the image.
        width: W of the image.
        stride: s.
        padding: p.

    Returns:
        M, (H W C, H' W' F): the `kernel` of a `keras.layers.Dense` that acts on the flattened image.

    Raises:
        ValueError: `kernel` is not an array of four axes, or a size is out of range.

    Reference: notes 3, where convolution is derived from sparse connections and shared weights.
    """
    weights = check_array("kernel", kernel, None, None, None, None)
    rows, columns, channels, filters = weights.shape
    out_height = conv_output_size(height, kernel_size=rows, stride=stride, padding=padding)
    out_width = conv_output_size(width, kernel_size=columns, stride=stride, padding=padding)
    matrix = np.zeros((height, width, channels, out_height, out_width, filters))
    for i, j in np.ndindex(out_height, out_width):
        top, left = i * stride - padding, j * stride - padding
        seen_rows = slice(max(top, 0), min(top + rows, height))
        seen_columns = slice(max(left, 0), min(left + columns, width))
        matrix[seen_rows, seen_columns, :, i, j] = weights[
            seen_rows.start - top : seen_rows.stop - top, seen_columns.start - left : seen_columns.stop - left
        ]
    return matrix.reshape(height * width * channels, out_height * out_width * filters)
