"""The layers of the notes: one family a file."""

from __future__ import annotations

from keras_dl.layers.recurrent import GRU, LSTM, VanillaRNN
from keras_dl.layers.recurrent_cells import GRUCell, GRUGates, LSTMCell, LSTMGates, VanillaRNNCell
from keras_dl.layers.sampling import GaussianSampling, stateless_noise

__all__ = [
    "GRU",
    "LSTM",
    "GRUCell",
    "GRUGates",
    "GaussianSampling",
    "LSTMCell",
    "LSTMGates",
    "VanillaRNN",
    "VanillaRNNCell",
    "stateless_noise",
]
