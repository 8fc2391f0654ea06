"""Callbacks for training: progress, history, checkpoints, pictures, early stopping, stopping at NaN."""

# ruff: noqa: E402 - Keras selects its backend on import
from __future__ import annotations

from keras_dl_export.backend import require_tensorflow_backend

require_tensorflow_backend()

from keras_dl.callbacks.averaging import AverageWeights, averaged_weights
from keras_dl.callbacks.checkpoints import (
    Checkpoints,
    copy_state,
    latest_checkpoint,
    named_optimizers,
    restore_state,
    save_state,
)
from keras_dl.callbacks.events import TensorBoardEvents
from keras_dl.callbacks.finite import NonFiniteError, StopOnNonFinite
from keras_dl.callbacks.generalization_gap import GeneralisationGap, GeneralizationGap
from keras_dl.callbacks.gradient_norms import GradientFlow
from keras_dl.callbacks.history import HistoryFile, read_history, write_history
from keras_dl.callbacks.pictures import Pictures
from keras_dl.callbacks.progress import ProgressBar
from keras_dl.callbacks.stopping import EarlyStopping, stalled

__all__ = [
    "AverageWeights",
    "Checkpoints",
    "EarlyStopping",
    "GeneralisationGap",
    "GeneralizationGap",
    "GradientFlow",
    "HistoryFile",
    "NonFiniteError",
    "Pictures",
    "ProgressBar",
    "StopOnNonFinite",
    "TensorBoardEvents",
    "averaged_weights",
    "copy_state",
    "latest_checkpoint",
    "named_optimizers",
    "read_history",
    "restore_state",
    "save_state",
    "stalled",
    "write_history",
]
