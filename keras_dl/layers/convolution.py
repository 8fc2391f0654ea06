"""Convolution with the arguments of the notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from keras_dl.arguments import check_choice
from keras_dl_export.arguments import check_int

Padding = int | Sequence[int] | Literal["valid", "same"]


@keras.saving.register_keras_serializable("keras_dl")
class Conv2D(keras.layers.Conv2D):
    """A 2D convolution whose padding is a number of zeros, as in the notes.

        y[b, i, j, f] = bias[f] + sum_{u, v, c} x'[b, s i + u, s j + v, c] K[u, v, c, f]

    x' is x with p rows and columns of zeros added at each border. (The kernel is not flipped, as in all
    deep-learning libraries: in mathematics this is cross-correlation.) The height and width of the output
    are H' = floor((H - K + 2 p) / s) + 1.

    Args:
        filters: F, the number of output feature maps.
        kernel_size: K, one int or (height, width).
        strides: s, one int or (rows, columns).
        padding: p, one int or (rows, columns); or Keras's `"valid"` (p = 0) or `"same"`.
        **kwargs: all other arguments of `keras.layers.Conv2D`.

    Input: (B, H, W, C). Output: (B, H', W', F). With `data_format="channels_first"` as in the notes: (B, C,
    H, W) to (B, F, H', W').

    Raises:
        ValueError: the padding is negative or not an int.

    Reference: notes 3.1.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: Padding = 0,
        **kwargs: Any,
    ) -> None:
        by_name = isinstance(padding, str)
        name = check_choice("padding", padding, "valid", "same") if by_name else "valid"
        super().__init__(filters, kernel_size, strides, name, **kwargs)
        if by_name:
            sides = (0, 0)
        else:
            sides = tuple(padding) if isinstance(padding, list | tuple) else (padding, padding)
        self.zeros = tuple(check_int("padding", zeros, 0) for zeros in sides)

    def call(self, inputs: Any) -> Any:
        if self.zeros != (0, 0):
            inputs = ops.pad(inputs, self._per_axis((0, 0), [(zeros, zeros) for zeros in self.zeros]))
        return super().call(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        added = self._per_axis(0, [2 * zeros for zeros in self.zeros])
        sizes = zip(input_shape, added, strict=True)
        return super().compute_output_shape(
            tuple(None if size is None else size + more for size, more in sizes)
        )

    def _per_axis(self, other: Any, sides: list[Any]) -> list[Any]:
        """Return one entry per axis: `sides` for rows and columns, `other` for batch and channels."""
        if self.data_format == "channels_first":
            return [other, other, *sides]
        return [other, *sides, other]

    def get_config(self) -> dict[str, Any]:
        padding = self.padding if self.padding == "same" else self.zeros
        return {**super().get_config(), "padding": padding}
