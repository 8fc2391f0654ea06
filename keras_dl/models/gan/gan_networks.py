"""The two networks of a deep convolutional GAN, with and without a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_dl.arguments import check_image_shape, check_sizes
from keras_dl.layers import BatchNormalization, ClassConcatenation, ClassProjection
from keras_dl_export.arguments import check_int

Shape = tuple[int, int, int]


def convolutional_players(
    image_shape: Sequence[int],
    latent_dim: int,
    filters: Sequence[int],
    kernel_size: int,
    *,
    dtype: Any,
    num_classes: int | None = None,
    per_image: bool = False,
) -> tuple[Any, Any]:
    """Return a generator and a discriminator that mirror each other.

    Args:
        image_shape: (H, W, C).
        latent_dim: Z.
        filters: numbers of feature maps of the convolutions of the discriminator; the generator mirrors them.
        kernel_size: kernel size of all convolutions.
        dtype: dtype policy of all layers except the float32 heads; None is Keras's global policy.
        num_classes: K, if both are conditioned on a class.
        per_image: normalize the features of the discriminator per image rather than over the batch, as a
            gradient penalty per image requires.

    Returns:
        The generator: latents (B, Z), and classes (B,), to images (B, H, W, C) in [0, 1]. The discriminator:
        images, and classes, to logits (B, 1).

    Raises:
        ValueError: an argument is out of range.
    """
    shape = check_image_shape(image_shape)
    latent_dim = check_int("latent_dim", latent_dim)
    kernel_size = check_int("kernel_size", kernel_size)
    maps = check_sizes("filters", filters)
    if not maps:
        raise ValueError(
            "filters: expected the feature maps of at least one convolution, got none. Pass (64, 128)."
        )
    policy = keras.dtype_policies.get(dtype)
    generator = _generator(shape, latent_dim, maps, kernel_size, policy, num_classes)
    return generator, _discriminator(shape, maps, kernel_size, policy, num_classes, per_image)


def _generator(
    image_shape: Shape,
    latent_dim: int,
    filters: Sequence[int],
    kernel_size: int,
    dtype: Any,
    num_classes: int | None,
) -> Any:
    """Return the generator: latents (B, Z), and classes (B,) -> images (B, H, W, C) in [0, 1].

    A dense layer computes the smallest feature map; each transposed convolution doubles its sides. Surplus
    rows and columns are cropped if a side is not a multiple of that of the smallest map. The tanh of the last
    layer is rescaled from [-1, 1] to [0, 1].
    """
    height, width, channels = image_shape
    scale = 2 ** len(filters)
    rows, columns = -(-height // scale), -(-width // scale)
    h = z = keras.Input((latent_dim,), name="z")
    inputs = [z]
    if num_classes is not None:
        inputs.append(keras.Input((), dtype="int32", name="label"))
        h = ClassConcatenation(num_classes, dtype=dtype)(inputs)
    h = keras.layers.Dense(rows * columns * filters[-1], use_bias=False, dtype=dtype)(h)
    h = keras.layers.Reshape((rows, columns, filters[-1]), dtype=dtype)(h)
    doubling: dict[str, Any] = {"kernel_size": kernel_size, "strides": 2, "padding": "same"}
    for maps in reversed(filters[:-1]):
        h = _normalized(h, dtype)
        h = keras.layers.Conv2DTranspose(maps, **doubling, use_bias=False, dtype=dtype)(h)
    h = keras.layers.Conv2DTranspose(channels, **doubling, dtype="float32")(_normalized(h, dtype))
    surplus = ((0, rows * scale - height), (0, columns * scale - width))
    if surplus != ((0, 0), (0, 0)):
        h = keras.layers.Cropping2D(surplus, dtype="float32")(h)
    h = keras.layers.Activation("tanh", dtype="float32")(h)
    image = keras.layers.Rescaling(0.5, 0.5, dtype="float32", name="image")(h)
    return keras.Model(inputs if num_classes else z, image, name="generator")


def _discriminator(
    image_shape: Shape,
    filters: Sequence[int],
    kernel_size: int,
    dtype: Any,
    num_classes: int | None,
    per_image: bool,
) -> Any:
    """Return the discriminator: images (B, H, W, C) in [0, 1], and classes (B,) -> logits (B, 1).

    Each convolution halves the sides of the feature map; the output of all but the first is normalized.
    """
    image = keras.Input(image_shape, name="image")
    h = keras.layers.Rescaling(2.0, -1.0, dtype=dtype)(image)
    for index, maps in enumerate(filters):
        first = index == 0
        h = keras.layers.Conv2D(maps, kernel_size, strides=2, padding="same", use_bias=first, dtype=dtype)(h)
        if not first and per_image:
            h = keras.layers.LayerNormalization(axis=(1, 2, 3), dtype=dtype)(h)
        elif not first:
            h = BatchNormalization(momentum=0.9, dtype=dtype)(h)
        h = keras.layers.LeakyReLU(0.2, dtype=dtype)(h)
    features = keras.layers.Flatten(dtype="float32")(h)
    logits = keras.layers.Dense(1, dtype="float32")(features)
    if num_classes is None:
        return keras.Model(image, logits, name="discriminator")
    label = keras.Input((), dtype="int32", name="label")
    fit = ClassProjection(num_classes, dtype="float32")((features, label))
    return keras.Model([image, label], keras.layers.Add(dtype="float32")((logits, fit)), name="discriminator")


def _normalized(h: Any, dtype: Any) -> Any:
    h = BatchNormalization(momentum=0.9, dtype=dtype)(h)
    return keras.layers.ReLU(dtype=dtype)(h)
