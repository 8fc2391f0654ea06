"""The layers of the notes: one family a file."""

from __future__ import annotations

from keras_dl.layers.sampling import GaussianSampling, stateless_noise

__all__ = ["GaussianSampling", "stateless_noise"]
