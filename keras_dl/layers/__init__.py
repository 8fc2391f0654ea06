"""The layers of the notes, one family per file."""

# ruff: noqa: E402 - Keras selects its backend on import
from __future__ import annotations

from keras_dl_export.backend import require_tensorflow_backend

require_tensorflow_backend()

from keras_dl.layers.conditioning import ClassConcatenation, ClassProjection
from keras_dl.layers.convolution import Conv2D
from keras_dl.layers.heaviside import Heaviside
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.layers.recurrent import GRU, LSTM, VanillaRNN
from keras_dl.layers.recurrent_cells import GRUCell, GRUGates, LSTMCell, LSTMGates, VanillaRNNCell
from keras_dl.layers.recurrent_initializers import LongMemory
from keras_dl.layers.sampling import Dropout, GaussianSampling, RandomShift, stateless_noise

__all__ = [
    "GRU",
    "LSTM",
    "BatchNormalization",
    "ClassConcatenation",
    "ClassProjection",
    "Conv2D",
    "Dropout",
    "GRUCell",
    "GRUGates",
    "GaussianSampling",
    "Heaviside",
    "LSTMCell",
    "LSTMGates",
    "LongMemory",
    "RandomShift",
    "VanillaRNN",
    "VanillaRNNCell",
    "stateless_noise",
]
