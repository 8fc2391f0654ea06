"""Generative adversarial networks: general, convolutional and conditional."""

from __future__ import annotations

from keras_dl.models.gan.conditional_gan import ConditionalGAN
from keras_dl.models.gan.dcgan import DCGAN
from keras_dl.models.gan.gan import GAN

__all__ = ["DCGAN", "GAN", "ConditionalGAN"]
