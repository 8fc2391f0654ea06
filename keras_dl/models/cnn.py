"""The convolutional neural network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
from keras import ops

from keras_dl.arguments import check_image_shape, check_rate, check_sizes
from keras_dl.layers import BatchNormalization, Dropout, RandomShift
from keras_dl.models.batch_checks import checked_images, checked_shape
from keras_dl.models.classifier import Classifier
from keras_dl.models.model_options import ModelOptions
from keras_dl_export import Endpoint, Spec
from keras_dl_export.arguments import check_int


@keras.saving.register_keras_serializable("keras_dl")
class CNN(Classifier):
    """A convolutional classifier with fewer than 100,000 parameters for images up to 32 x 32.

    Each block is a 3 x 3 convolution, 2 x 2 max pooling that halves the feature maps, batch normalization
    and a ReLU:

        h_0 = x,  h_l = relu(BN(pool(K_l * h_{l-1}))),  p(y | x) = softmax(W vec(h_L) + b)

    Args:
        num_classes: number of classes.
        image_shape: (height, width, channels) of one image.
        filters: number of feature maps of each block.
        dropout: fraction of the last feature maps that is set to 0 in training.
        shift: the largest random shift of each image in training, in pixels, vertically and horizontally.
        seed: seed of the dropout and the shifts.

    Input: images (B, H, W, C) in [0, 1]. Output: probabilities (B, num_classes).

    Raises:
        ValueError: an argument is out of range, or the image is too small for the number of blocks; in
            training, an image is outside [0, 1] or a label is not a class.

    Reference: notes 3; Ioffe and Szegedy, Batch normalization (ICML 2015).
    """

    def __init__(
        self,
        num_classes: int = 10,
        image_shape: Sequence[int] = (28, 28, 1),
        *,
        filters: Sequence[int] = (32, 64, 64),
        dropout: float = 0.3,
        shift: int = 0,
        seed: int = 0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(num_classes, **kwargs)
        self.image_shape = check_image_shape(image_shape)
        self.filters = check_sizes("filters", filters)
        smallest = 2 ** len(self.filters)
        if min(self.image_shape[:2]) < smallest:
            raise ValueError(
                f"image_shape: expected at least {smallest} x {smallest} pixels for {len(self.filters)} "
                f"blocks, got {self.image_shape}. Resize the images, or pass fewer filters."
            )
        self.dropout = check_rate("dropout", dropout)
        self.shift = check_int("shift", shift, 0)
        self.seed = seed
        blocks: list[keras.Layer] = [keras.Input(self.image_shape)]
        if shift:
            blocks.append(RandomShift(shift, seed, dtype=self.dtype_policy))
        for maps in self.filters:
            blocks += [
                # Normalizing after pooling takes a quarter of the time; it makes a bias redundant.
                keras.layers.Conv2D(maps, 3, padding="same", use_bias=False, dtype=self.dtype_policy),
                keras.layers.MaxPooling2D(dtype=self.dtype_policy),
                BatchNormalization(momentum=0.9, dtype=self.dtype_policy),
                keras.layers.ReLU(dtype=self.dtype_policy),
            ]
        blocks += [
            keras.layers.Flatten(dtype=self.dtype_policy),
            Dropout(dropout, seed, dtype=self.dtype_policy),
        ]
        self.features = keras.Sequential(blocks, name="features")
        self.head = keras.layers.Dense(self.num_classes, dtype="float32")
        self.build((None, *self.image_shape))

    def build(self, input_shape: Any) -> None:
        self.head.build(self.features.output_shape)

    def logits(self, inputs: Any, training: bool = False) -> Any:
        image = ops.cast(self._shaped(ops.convert_to_tensor(inputs)), "float32")
        return self.head(self.features(image, training=training))

    def checked_inputs(self, inputs: Any) -> Any:
        """Return `inputs`, after a check that they are images in [0, 1]."""
        return checked_images(self._shaped(inputs))

    def _shaped(self, image: Any) -> Any:
        return checked_shape(image, self.image_shape, name="image", model="CNN")

    def endpoints(self) -> dict[str, Endpoint]:
        """Return the endpoint `serving_default(image) -> logits, probabilities, class`."""
        return self.classifying_endpoint("image", Spec(("batch", *self.image_shape), "float32"))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "filters": self.filters,
            "dropout": self.dropout,
            "shift": self.shift,
            "seed": self.seed,
        }
