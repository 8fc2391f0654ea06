"""The multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import keras
from keras import ops

from keras_dl.arguments import check_rate, check_sizes
from keras_dl.layers import Dropout
from keras_dl.models.batch_checks import checked_images, checked_shape
from keras_dl.models.classifier import Classifier
from keras_dl.models.model_options import ModelOptions
from keras_dl_export import Endpoint, Spec
from keras_dl_export.arguments import check_int


@keras.saving.register_keras_serializable("keras_dl")
class MLP(Classifier):
    """A feed-forward classifier of fully connected layers.

    h_0 = vec(x),  h_l = phi(W_l h_{l-1} + b_l),  p(y | x) = softmax(W h_L + b)

    Args:
        units: H, the width of each hidden layer l = 1..L; empty for a linear classifier.
        num_classes: number of classes C.
        image_shape: shape of one input; if given, the model is built at once, otherwise on its first batch,
            which may also consist of rows of features.
        activation: phi, by its name in Keras.
        dropout: fraction of the outputs of each hidden layer that is set to 0 in training.
        seed: seed of the dropout.

    Input: examples (B, ...), which are flattened; images in [0, 1], as `keras_dl.data.load` returns them.
    Output: probabilities (B, C).

    Raises:
        ValueError: a width is not positive, `num_classes` is below 2, or `dropout` is not in [0, 1); images
            are outside [0, 1]; in training, a label is not a class.

    Reference: notes 1.2; Rumelhart, Hinton and Williams, Learning representations by back-propagating errors
    (1986).
    """

    def __init__(
        self,
        units: Sequence[int] = (256, 128),
        num_classes: int = 10,
        *,
        image_shape: Sequence[int] | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(num_classes, **kwargs)
        self.units = check_sizes("units", units)
        self.activation = activation
        self.seed = check_int("seed", seed, 0)
        self.dropout = check_rate("dropout", dropout)
        hidden: list[keras.Layer] = []
        for width in self.units:
            hidden.append(keras.layers.Dense(width, activation, dtype=self.dtype_policy))
            if dropout:
                hidden.append(Dropout(dropout, self.seed + len(hidden), dtype=self.dtype_policy))
        self.hidden = hidden
        self.head = keras.layers.Dense(self.num_classes, dtype="float32")
        self.image_shape = None if image_shape is None else tuple(image_shape)
        if self.image_shape is not None:
            self.build((None, *self.image_shape))

    def build(self, input_shape: Any) -> None:
        self.image_shape = tuple(input_shape[1:])
        shape = (None, math.prod(self.image_shape))
        for layer in [*self.hidden, self.head]:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def logits(self, inputs: Any, training: bool = False) -> Any:
        assert self.image_shape is not None
        h = ops.reshape(self._shaped(ops.convert_to_tensor(inputs)), (-1, math.prod(self.image_shape)))
        for layer in self.hidden:
            h = layer(h, training=training) if isinstance(layer, Dropout) else layer(h)
        return self.head(h)

    def checked_inputs(self, inputs: Any) -> Any:
        """Return `inputs`; check that images are in [0, 1]. Features may be any numbers."""
        inputs = self._shaped(inputs)
        return checked_images(inputs) if inputs.shape.rank != 2 else inputs

    def _shaped(self, inputs: Any) -> Any:
        if self.image_shape is None:  # the first batch builds the model
            return inputs
        return checked_shape(inputs, self.image_shape, name="inputs", model="MLP")

    def endpoints(self) -> dict[str, Endpoint]:
        """Return `serving_default(image) -> logits, probabilities, class`; a flat input is named `features`.

        Raises:
            ValueError: the model is not built.
        """
        if self.image_shape is None:
            raise ValueError(
                "model: expected a built MLP, whose input shape is known, got an unbuilt one. Call it on a "
                "batch, or pass image_shape."
            )
        name = "features" if len(self.image_shape) == 1 else "image"
        return self.classifying_endpoint(name, Spec(("batch", *self.image_shape), "float32"))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "image_shape": self.image_shape,
            "activation": self.activation,
            "dropout": self.dropout,
            "seed": self.seed,
        }
