"""Generative adversarial networks: the game, the convolutional players, and the conditional ones."""

from __future__ import annotations

from keras_dl.models.gan.conditional_gan import ConditionalGAN
from keras_dl.models.gan.dcgan import DCGAN
from keras_dl.models.gan.gan import GAN

__all__ = ["DCGAN", "GAN", "ConditionalGAN"]
