"""The exponential moving average of the weights, used wherever a model is measured or shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras

from keras_dl.callbacks.checkpoints import named_optimizers


class AverageWeights(keras.callbacks.Callback):
    """Validates with the averages that the optimizers keep (`use_ema=True`), and leaves them in the model.

        w_bar <- m w_bar + (1 - m) w,  m = ema_momentum

    Training goes on with the weights w as they were, bit for bit. (Keras's `SwapEMAWeights` swaps by sums and
    differences, which round.) An optimizer without `use_ema` is none of this callback's concern.
    """

    def __init__(self) -> None:
        super().__init__()
        self._swapped: Any = None

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Put the averages in."""
        self._swapped = averaged_weights(self.model)
        self._swapped.__enter__()

    def on_test_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Put the weights back."""
        self._swapped.__exit__(None, None, None)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Leave the averages in the model."""
        for weight, average in _averages(self.model):
            weight.assign(average)


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Within the block the weights are the averages that the optimizers keep, where they keep any."""
    pairs = _averages(model)
    kept = [keras.ops.copy(weight.value) for weight, _ in pairs]
    for weight, average in pairs:
        weight.assign(average)
    try:
        yield
    finally:
        for (weight, _), value in zip(pairs, kept, strict=True):
            weight.assign(value)


def _averages(model: keras.Model) -> list[tuple[Any, Any]]:
    pairs: list[tuple[Any, Any]] = []
    for optimizer in named_optimizers(model).values():
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # within a LossScaleOptimizer
        if optimizer.use_ema and optimizer.built:
            # Keras offers the pairs only to itself; its finalize_variable_values keeps no way back.
            weights, averages = optimizer._trainable_variables, optimizer._model_variables_moving_average
            pairs += [pair for pair in zip(weights, averages, strict=True) if pair[1] is not None]
    return pairs
