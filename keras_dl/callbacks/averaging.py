"""Exponential moving averages of the weights for validation and for the trained model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras

from keras_dl.callbacks.checkpoints import named_optimizers


class AverageWeights(keras.callbacks.Callback):
    """A callback that validates with the optimizers' averages (`use_ema=True`) and finally keeps them.

        w_bar <- m w_bar + (1 - m) w,  m = ema_momentum

    Training continues with the weights w unchanged, bit for bit. (Keras's `SwapEMAWeights` swaps by sums and
    differences, which round.) Optimizers without `use_ema` are ignored.
    """

    def __init__(self) -> None:
        super().__init__()
        self._swapped: Any = None

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Assign the averages to the weights."""
        self._swapped = averaged_weights(self.model)
        self._swapped.__enter__()

    def on_test_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Restore the weights."""
        self._swapped.__exit__(None, None, None)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Assign the averages to the weights for good."""
        for weight, average in _averages(self.model):
            weight.assign(average)


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Replace the weights by the averages of the optimizers, if any, within the block."""
    pairs = _averages(model)
    values = [keras.ops.copy(weight.value) for weight, _ in pairs]
    for weight, average in pairs:
        weight.assign(average)
    try:
        yield
    finally:
        for (weight, _), value in zip(pairs, values, strict=True):
            weight.assign(value)


def _averages(model: keras.Model) -> list[tuple[Any, Any]]:
    pairs: list[tuple[Any, Any]] = []
    for optimizer in named_optimizers(model).values():
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # within a LossScaleOptimizer
        if optimizer.use_ema and optimizer.built:
            # Keras has no public access to the pairs, and its finalize_variable_values cannot be undone.
            weights, averages = optimizer._trainable_variables, optimizer._model_variables_moving_average
            pairs += [pair for pair in zip(weights, averages, strict=True) if pair[1] is not None]
    return pairs
