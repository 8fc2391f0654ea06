"""The generalization gap after each epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from typing import Any

import keras

from keras_dl.theory import hoeffding_deviation


class GeneralizationGap(keras.callbacks.Callback):
    """A callback that measures the error on training and test data after each epoch, and its uncertainty.

        gap = error on `test` - error on `train`,  error = 1 - accuracy

    Both are measured with the same weights and `training=False`, whereas the training accuracy that `fit`
    reports is a mean over the changing weights of the epoch, with dropout. The gap is added to `logs` as
    `generalization_gap`, so that `History` and all later callbacks have it.

    By Hoeffding's inequality the error on all data is within `deviation` of that on `test` with probability
    1 - delta, for a model that was not trained on `test` and an epoch that was chosen beforehand.

    Args:
        train: a finite data set of batches (inputs, labels).
        test: another data set, not used in training.
        delta: the probability of a larger deviation.

    Attributes:
        train_error: the error on `train` after each epoch.
        test_error: the error on `test` after each epoch.
        gap: the gap after each epoch.
        deviation: epsilon = sqrt(log(2 / delta) / (2 n)) for n examples in `test`; NaN before the end of the
            first epoch.

    Raises:
        ValueError: `delta` is not between 0 and 1, or the model does not report `accuracy`.

    Reference: notes 2.2.2.
    """

    def __init__(self, train: Any, test: Any, *, delta: float = 0.05) -> None:
        super().__init__()
        hoeffding_deviation(1, delta)  # raise ValueError for an invalid delta at once
        self.train, self.test, self.delta = train, test, delta
        self.train_error: list[float] = []
        self.test_error: list[float] = []
        self.deviation = math.nan

    @property
    def gap(self) -> list[float]:
        """The error on `test` minus the error on `train`, after each epoch."""
        return [test - train for train, test in zip(self.train_error, self.test_error, strict=True)]

    def on_epoch_end(self, epoch: int, logs: MutableMapping[str, float] | None = None) -> None:
        """Measure both errors."""
        if math.isnan(self.deviation):
            self.deviation = hoeffding_deviation(_examples(self.test), self.delta)
        self.train_error.append(self._error(self.train))
        self.test_error.append(self._error(self.test))
        if logs is not None:
            logs["generalization_gap"] = self.gap[-1]

    def _error(self, data: Any) -> float:
        figures: Mapping[str, float] = self.model.evaluate(data, verbose=0, return_dict=True)
        if "accuracy" not in figures:
            raise ValueError(
                f"model: expected one that reports accuracy, got metrics {', '.join(figures)}. Compile it "
                "with metrics=['accuracy']."
            )
        return 1 - float(figures["accuracy"])


def _examples(data: Any) -> int:
    return sum(len(batch[1]) for batch in data)


GeneralisationGap = GeneralizationGap  # the former name
