"""The threshold function of the perceptron."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_dl")
class Heaviside(keras.layers.Layer):
    """The step function: 1 where the input reaches the threshold, else 0.

        f(a) = 1 if a >= 0 else 0

    Its gradient is 0 wherever it exists, so gradient descent cannot train through it; the perceptron
    learning rule can.

    Input: any shape. Output: the same shape.

    Reference: notes 1.1.
    """

    def call(self, inputs: Any) -> Any:
        return ops.cast(inputs >= 0, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
