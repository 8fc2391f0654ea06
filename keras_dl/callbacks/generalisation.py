"""The generalisation gap, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from typing import Any

import keras

from keras_dl.theory import hoeffding_deviation


class GeneralisationGap(keras.callbacks.Callback):
    """Measures L^ on the training data and on others after each epoch, and how far the latter can be off.

        gap = error on `test` - error on `train`,  error = 1 - accuracy

    Both are measured with the same weights and `training=False`; what `fit` reports of the training data is a
    mean over the epoch's changing weights, with dropout. `logs` gains `generalisation_gap`, so that `History`
    and everything after this callback has it.

    By Hoeffding's inequality the error on all data lies within `deviation` of that on `test`, with
    probability 1 - delta: for a model that never saw `test`, at one epoch that was chosen beforehand.

    Args:
        train: a finite data set of (inputs, labels) in batches.
        test: another, which is not trained on.
        delta: the probability of a larger deviation.

    Attributes:
        train_error: after each epoch.
        test_error: after each epoch.
        gap: after each epoch.
        deviation: epsilon = sqrt(log(2 / delta) / (2 n)), n being the examples in `test`; NaN before the
            first epoch ends.

    Raises:
        ValueError: `delta` is not between 0 and 1; the model does not report `accuracy`.

    Reference: notes 2.2.2.
    """

    def __init__(self, train: Any, test: Any, *, delta: float = 0.05) -> None:
        super().__init__()
        hoeffding_deviation(1, delta)  # says at once what is wrong with delta
        self.train, self.test, self.delta = train, test, delta
        self.train_error: list[float] = []
        self.test_error: list[float] = []
        self.deviation = math.nan

    @property
    def gap(self) -> list[float]:
        """Error on `test` less that on `train`, after each epoch."""
        return [test - train for train, test in zip(self.train_error, self.test_error, strict=True)]

    def on_epoch_end(self, epoch: int, logs: MutableMapping[str, float] | None = None) -> None:
        """Measure both errors."""
        if math.isnan(self.deviation):
            self.deviation = hoeffding_deviation(_examples(self.test), self.delta)
        self.train_error.append(self._error(self.train))
        self.test_error.append(self._error(self.test))
        if logs is not None:
            logs["generalisation_gap"] = self.gap[-1]

    def _error(self, data: Any) -> float:
        figures: Mapping[str, float] = self.model.evaluate(data, verbose=0, return_dict=True)
        if "accuracy" not in figures:
            raise ValueError(
                f"model: expected one that reports accuracy, got figures {', '.join(figures)}. Compile it "
                "with metrics=['accuracy']."
            )
        return 1 - float(figures["accuracy"])


def _examples(data: Any) -> int:
    return sum(len(batch[1]) for batch in data)
