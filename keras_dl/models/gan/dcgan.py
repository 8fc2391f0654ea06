"""The deep convolutional GAN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras

from keras_dl.arguments import check_sizes
from keras_dl.models.gan.adversarial_losses import LossName, penalty_weight
from keras_dl.models.gan.gan import GAN
from keras_dl.models.gan.gan_networks import convolutional_players
from keras_dl.models.model_options import ModelOptions


@keras.saving.register_keras_serializable("keras_dl")
class DCGAN(GAN):
    """A convolutional GAN that generates an image from 100 uniform random numbers.

    z ~ U(-1, 1)^Z,  G: transposed convolutions of stride 2,  D: convolutions of stride 2

    G has batch normalization and ReLUs and ends in a tanh, rescaled to [0, 1]; D has LeakyReLUs of slope 0.2
    and batch normalization, or, with a gradient penalty, layer normalization.

    Args:
        image_shape: (H, W, C).
        latent_dim: Z.
        loss: as in `GAN`.
        filters: numbers of feature maps of the convolutions of D; G mirrors them.
        kernel_size: kernel size of all convolutions.
        gradient_penalty: as in `GAN`.
        **kwargs: `prior`, `discriminator_steps`, `label_smoothing`, `ema_momentum` and `seed`, as in `GAN`.

    Shapes: latents (B, Z); images (B, H, W, C) in [0, 1].

    Raises:
        ValueError: an argument is out of range; in training, images have another shape or are outside [0, 1].

    Reference: notes 4.2.1; Radford, Metz and Chintala, Unsupervised representation learning with deep
        convolutional generative adversarial networks (ICLR 2016).
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (28, 28, 1),
        latent_dim: int = 100,
        loss: LossName = "non_saturating",
        *,
        filters: Sequence[int] = (64, 128),
        kernel_size: int = 4,
        gradient_penalty: float | None = None,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        players = convolutional_players(
            image_shape,
            latent_dim,
            filters,
            kernel_size,
            dtype=kwargs.get("dtype"),
            per_image=penalty_weight(loss, gradient_penalty) > 0,
        )
        super().__init__(*players, loss, gradient_penalty=gradient_penalty, **kwargs)
        self.filters = check_sizes("filters", filters)
        self.kernel_size = int(kernel_size)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["generator"], config["discriminator"]
        names = ("image_shape", "latent_dim", "filters", "kernel_size")
        return {**config, **{name: getattr(self, name) for name in names}}
