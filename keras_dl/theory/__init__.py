"""What the notes prove, as functions."""

from __future__ import annotations

from keras_dl.theory.convolution import conv_output_size, pool_output_size
from keras_dl.theory.generalisation import hoeffding_bound, hoeffding_sample_size

__all__ = ["conv_output_size", "hoeffding_bound", "hoeffding_sample_size", "pool_output_size"]
