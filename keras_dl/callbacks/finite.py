"""Stop a training whose numbers have broken down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_dl.callbacks.checkpoints import named_optimizers


class NonFiniteError(FloatingPointError):
    """A figure or a weight became NaN or infinite. The text says which, at which step, and what is left.

    Attributes:
        figure: its name, or the path of the weight.
        epoch: the epoch, counted from 1.
        step: the step of that epoch, counted from 1.
    """

    def __init__(self, figure: str, value: float, *, epoch: int, step: int, advice: str) -> None:
        super().__init__(f"{figure}: became {value} at step {step} of epoch {epoch}. {advice}")
        self.figure, self.epoch, self.step = figure, epoch, step


class StopOnNonFinite(keras.callbacks.Callback):
    """Raises `NonFiniteError` at the first step with a figure that is NaN or infinite.

    The weights are lost by then, but not the checkpoint of the last whole epoch, which is never replaced by
    broken weights: put this callback before the one that writes checkpoints. An epoch's last step may break
    the weights though its own loss was fine: at its end all weights and optimizer states are looked at, too.

    Args:
        advice: the end of the error's text: what the reader can do.
    """

    def __init__(self, advice: str = "Lower the learning rate or clip the gradients (clipnorm).") -> None:
        super().__init__()
        self.advice = advice
        self._epoch = self._batch = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look at the step's figures."""
        self._batch = batch
        self._check(logs or {})

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look at the epoch's figures, those of validation too, and at what a checkpoint would keep."""
        self._check(logs or {})
        optimizers = named_optimizers(self.model).values()
        for variable in (*self.model.weights, *(v for each in optimizers for v in each.variables)):
            values = np.asarray(variable)
            broken = values[~np.isfinite(values)]
            if broken.size:
                raise self._error(variable.path, broken[0])

    def _check(self, logs: Mapping[str, Any]) -> None:
        for name, value in logs.items():
            if not math.isfinite(value):
                raise self._error(name, value)

    def _error(self, name: str, value: Any) -> NonFiniteError:
        place = {"epoch": self._epoch + 1, "step": self._batch + 1}
        return NonFiniteError(name, float(value), **place, advice=self.advice)
