"""Stop a training whose numbers have broken down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras


class NonFiniteError(FloatingPointError):
    """A figure became NaN or infinite. The text says which, at which step, and what is left to go on from.

    Attributes:
        figure: its name.
        epoch: the epoch, counted from 1.
        step: the step of that epoch, counted from 1.
    """

    def __init__(self, figure: str, value: float, *, epoch: int, step: int, advice: str) -> None:
        super().__init__(f"{figure}: became {value} at step {step} of epoch {epoch}. {advice}")
        self.figure, self.epoch, self.step = figure, epoch, step


class StopOnNonFinite(keras.callbacks.Callback):
    """Raises `NonFiniteError` at the first step with a figure that is NaN or infinite.

    The weights are lost by then, but not the checkpoint of the last whole epoch, which is never replaced by
    broken weights: put this callback before the one that writes checkpoints.

    Args:
        advice: the end of the error's text: what the reader can do.
    """

    def __init__(self, advice: str = "Lower the learning rate or clip the gradients (clipnorm).") -> None:
        super().__init__()
        self.advice = advice
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look at the step's figures."""
        self._check(logs or {}, batch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look at the epoch's figures, those of validation among them."""
        self._check(logs or {}, self.params["steps"] - 1 if self.params.get("steps") else 0)

    def _check(self, logs: Mapping[str, Any], batch: int) -> None:
        for name, value in logs.items():
            if not math.isfinite(value):
                raise NonFiniteError(
                    name, float(value), epoch=self._epoch + 1, step=batch + 1, advice=self.advice
                )
