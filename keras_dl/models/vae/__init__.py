"""Variational autoencoders, dense and convolutional."""

from __future__ import annotations

from keras_dl.models.vae.vae import VAE

__all__ = ["VAE"]
