"""Optimizers and their learning-rate schedules."""

# ruff: noqa: E402 - Keras selects its backend on import
from __future__ import annotations

from keras_dl_export.backend import require_tensorflow_backend

require_tensorflow_backend()

from keras_dl.optimizers.fused_adam import Adam, steps_done
from keras_dl.optimizers.schedules import Schedule, adam, adam_for_each_player

__all__ = ["Adam", "Schedule", "adam", "adam_for_each_player", "steps_done"]
