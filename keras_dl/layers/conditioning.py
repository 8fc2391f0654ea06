"""Layers that condition a network on a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_dl_export.arguments import check_int


class _ClassConditioned(keras.layers.Layer):
    """A layer whose inputs are (features, class)."""

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = check_int("num_classes", num_classes, 2)

    def _check_inputs(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of the features; raise `ValueError` if the inputs are not (features, class)."""
        shapes = [tuple(shape) for shape in input_shape if isinstance(shape, list | tuple)]
        if len(shapes) != 2 or len(shapes[0]) < 2 or len(shapes[1]) != 1:
            raise ValueError(
                f"inputs: expected (features, class) of shapes (batch, ..., features) and (batch,) in "
                f"{type(self).__name__}, got {input_shape}. Pass the two tensors in a tuple."
            )
        return shapes[0]

    def _one_hot(self, label: Any) -> Any:
        return ops.one_hot(ops.cast(label, "int32"), self.num_classes, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes}


@keras.saving.register_keras_serializable("keras_dl")
class ClassConcatenation(_ClassConditioned):
    """A layer that concatenates the one-hot class to the features.

    h = [x; e_y],  e_y the y-th unit vector of R^K

    On feature maps, e_y is concatenated at every pixel: K more channels, of which the y-th is 1.

    Args:
        num_classes: K.

    Inputs:
        `(x, y)`: features x (B, D), (B, T, D) or (B, H, W, C); classes y (B,) from 0 to K - 1.

    Output:
        h, the shape of x with K more features. (A y outside 0 to K - 1 gives e_y = 0.)

    Raises:
        ValueError: the inputs have other ranks, or `num_classes` is below 2.

    Reference: notes 4.2.2; Mirza and Osindero, Conditional generative adversarial nets (2014).
    """

    def build(self, input_shape: Any) -> None:
        self._check_inputs(input_shape)
        super().build(input_shape)

    def call(self, inputs: Sequence[Any]) -> Any:
        x, label = inputs
        one_hot = self._one_hot(label)
        for _ in range(len(x.shape) - 2):
            one_hot = ops.expand_dims(one_hot, 1)
        return ops.concatenate([x, ops.ones_like(x[..., :1]) * one_hot], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        *sizes, features = self._check_inputs(input_shape)
        return (*sizes, None if features is None else features + self.num_classes)


@keras.saving.register_keras_serializable("keras_dl")
class ClassProjection(_ClassConditioned):
    """A layer that computes the part of a logit that depends on both features and class.

    s = x . v_y

    If the class posteriors p(y | x) of real and q(y | x) of generated data are both softmax-linear in the
    features, the log density ratio log p(x, y) / q(x, y) = log p(y | x) / q(y | x) + log p(x) / q(x) is
    this s plus a function of x alone, which a parallel `Dense(1)` computes.

    Args:
        num_classes: K.

    Inputs:
        `(x, y)`: features x (B, D); classes y (B,) from 0 to K - 1.

    Output:
        s (B, 1).

    Weights:
        `embeddings`: the v_y, (K, D).

    Raises:
        ValueError: the inputs have other ranks, or `num_classes` is below 2.

    Reference: Miyato and Koyama, cGANs with projection discriminator (ICLR 2018), equations 3 to 5.
    """

    def build(self, input_shape: Any) -> None:
        features = self._check_inputs(input_shape)
        if len(features) != 2:
            raise ValueError(
                f"inputs: expected features of shape (batch, features) in ClassProjection, got {features}. "
                "Flatten or pool them first."
            )
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.num_classes, features[1]), initializer="glorot_uniform"
        )
        super().build(input_shape)

    def call(self, inputs: Sequence[Any]) -> Any:
        x, label = inputs
        return ops.sum(x * ops.matmul(self._one_hot(label), self.embeddings), axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        return (self._check_inputs(input_shape)[0], 1)
