"""Stopping of training at NaN or infinity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_dl.callbacks.checkpoints import named_optimizers
from keras_dl_export.errors import KerasDLError


class NonFiniteError(KerasDLError, FloatingPointError):
    """An error for a metric or a weight that became NaN or infinite; the text names it and the step.

    Attributes:
        figure: the name of the metric, or the path of the weight.
        epoch: the epoch, counted from 1.
        step: the step of that epoch, counted from 1.
    """

    def __init__(self, figure: str, value: float, *, epoch: int, step: int, advice: str) -> None:
        super().__init__(f"{figure}: became {value} at step {step} of epoch {epoch}. {advice}")
        self.figure, self.epoch, self.step = figure, epoch, step


class StopOnNonFinite(keras.callbacks.Callback):
    """A callback that raises `NonFiniteError` at the first step with a metric that is NaN or infinite.

    By then the weights are lost, but not the checkpoint of the last complete epoch: place this callback
    before the one that writes checkpoints, so that invalid weights never replace it. Because the last step of
    an epoch may invalidate the weights although its own loss is finite, all weights and optimizer states are
    also checked at the end of each epoch.

    Args:
        advice: the remedy at the end of the error text.
    """

    def __init__(self, advice: str = "Lower the learning rate or clip the gradients (clipnorm).") -> None:
        super().__init__()
        self.advice = advice
        self._epoch = self._batch = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Store the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Check the metrics of the step."""
        self._batch = batch
        self._check(logs or {})

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Check the metrics of the epoch, including validation, and all variables of a checkpoint."""
        self._check(logs or {})
        optimizers = named_optimizers(self.model).values()
        for variable in (*self.model.weights, *(v for each in optimizers for v in each.variables)):
            values = np.asarray(variable)
            non_finite = values[~np.isfinite(values)]
            if non_finite.size:
                raise self._error(variable.path, non_finite[0])

    def _check(self, logs: Mapping[str, Any]) -> None:
        for name, value in logs.items():
            if not math.isfinite(value):
                raise self._error(name, value)

    def _error(self, name: str, value: Any) -> NonFiniteError:
        place = {"epoch": self._epoch + 1, "step": self._batch + 1}
        return NonFiniteError(name, float(value), **place, advice=self.advice)
