"""The two networks of a VAE, which compute the parameters of the posterior and of the likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

Shape = tuple[int, int, int]


def vae_networks(
    architecture: str,
    image_shape: Shape,
    latent_dim: int,
    *,
    filters: Sequence[int],
    units: Sequence[int] | None,
    activation: str | None,
    dtype: Any,
) -> tuple[Any, Any]:
    """Return an encoder (B, H, W, C) -> (B, 2 Z) and a decoder (B, Z) -> (B, H, W, C) that mirrors it.

    Args:
        architecture: `"conv"` or `"mlp"`.
        image_shape: (H, W, C).
        latent_dim: Z.
        filters: numbers of feature maps of the convolutions of the encoder, for `"conv"`.
        units: widths of the dense layers of the encoder; by default (256,) after convolutions, (200, 200)
            without.
        activation: activation of the hidden layers; by default `"relu"` with convolutions, `"tanh"` without.
        dtype: dtype policy of all layers except the float32 heads.

    Returns:
        Two built `keras.Sequential` models.
    """
    if architecture == "mlp":
        hidden = (200, 200) if units is None else units, activation or "tanh", dtype
        return mlp_encoder(image_shape, 2 * latent_dim, *hidden), mlp_decoder(
            image_shape, latent_dim, *hidden
        )
    layers = filters, (256,) if units is None else units, activation or "relu", dtype
    return conv_encoder(image_shape, 2 * latent_dim, *layers), conv_decoder(image_shape, latent_dim, *layers)


def mlp_encoder(image_shape: Shape, outputs: int, units: Sequence[int], activation: str, dtype: Any) -> Any:
    """Return an encoder (B, H, W, C) -> (B, outputs) of fully connected layers.

    Args:
        image_shape: (H, W, C).
        outputs: width of the float32 head.
        units: widths of the hidden layers.
        activation: activation of the hidden layers.
        dtype: dtype policy of all layers except the head.

    Returns:
        A built `keras.Sequential`.
    """
    return keras.Sequential(
        [
            keras.Input(image_shape),
            keras.layers.Flatten(dtype=dtype),
            *(keras.layers.Dense(width, activation, dtype=dtype) for width in units),
            keras.layers.Dense(outputs, dtype="float32"),
        ],
        name="encoder",
    )


def mlp_decoder(
    image_shape: Shape, latent_dim: int, units: Sequence[int], activation: str, dtype: Any
) -> Any:
    """Return a decoder (B, Z) -> (B, H, W, C) of fully connected layers, which mirrors `mlp_encoder`.

    Args:
        image_shape: (H, W, C).
        latent_dim: Z.
        units: widths of the hidden layers of the encoder, used in reverse order.
        activation: activation of the hidden layers.
        dtype: dtype policy of all layers except the head.

    Returns:
        A built `keras.Sequential`.
    """
    height, width, channels = image_shape
    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            *(keras.layers.Dense(size, activation, dtype=dtype) for size in reversed(units)),
            keras.layers.Dense(height * width * channels, dtype="float32"),
            keras.layers.Reshape(image_shape, dtype="float32"),
        ],
        name="decoder",
    )


def conv_encoder(
    image_shape: Shape,
    outputs: int,
    filters: Sequence[int],
    units: Sequence[int],
    activation: str,
    dtype: Any,
) -> Any:
    """Return an encoder (B, H, W, C) -> (B, outputs) of convolutions of stride 2, then dense layers.

    Args:
        image_shape: (H, W, C).
        outputs: width of the float32 head.
        filters: number of feature maps of each convolution.
        units: widths of the dense layers.
        activation: activation of the hidden layers.
        dtype: dtype policy of all layers except the head.

    Returns:
        A built `keras.Sequential`.
    """
    return keras.Sequential(
        [
            keras.Input(image_shape),
            *(
                keras.layers.Conv2D(maps, 3, strides=2, padding="same", activation=activation, dtype=dtype)
                for maps in filters
            ),
            keras.layers.Flatten(dtype=dtype),
            *(keras.layers.Dense(width, activation, dtype=dtype) for width in units),
            keras.layers.Dense(outputs, dtype="float32"),
        ],
        name="encoder",
    )


def conv_decoder(
    image_shape: Shape,
    latent_dim: int,
    filters: Sequence[int],
    units: Sequence[int],
    activation: str,
    dtype: Any,
) -> Any:
    """Return a decoder (B, Z) -> (B, H, W, C) of dense layers, then transposed convolutions of stride 2.

    Surplus rows and columns are cropped if a side is not a multiple of that of the smallest feature map.

    Args:
        image_shape: (H, W, C).
        latent_dim: Z.
        filters: numbers of feature maps of the convolutions of the encoder, used in reverse order.
        units: widths of the dense layers of the encoder, used in reverse order.
        activation: activation of the hidden layers.
        dtype: dtype policy of all layers except the head.

    Returns:
        A built `keras.Sequential`.
    """
    scale = 2 ** len(filters)
    height, width, channels = image_shape
    rows, columns = -(-height // scale), -(-width // scale)
    layers = [
        keras.Input((latent_dim,)),
        *(keras.layers.Dense(size, activation, dtype=dtype) for size in reversed(units)),
        keras.layers.Dense(rows * columns * filters[-1], activation, dtype=dtype),
        keras.layers.Reshape((rows, columns, filters[-1]), dtype=dtype),
        *(
            keras.layers.Conv2DTranspose(
                maps, 3, strides=2, padding="same", activation=activation, dtype=dtype
            )
            for maps in reversed(filters[:-1])
        ),
        keras.layers.Conv2DTranspose(channels, 3, strides=2, padding="same", dtype="float32"),
    ]
    surplus = ((0, rows * scale - height), (0, columns * scale - width))
    if surplus != ((0, 0), (0, 0)):
        layers.append(keras.layers.Cropping2D(surplus, dtype="float32"))
    return keras.Sequential(layers, name="decoder")
