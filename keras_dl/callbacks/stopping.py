"""Early stopping of training that no longer improves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from keras_dl.callbacks.checkpoints import restore_state, save_state
from keras_dl.callbacks.history import HistoryFile


class EarlyStopping(keras.callbacks.Callback):
    """A callback that stops if a metric has not decreased for some epochs, and restores its best epoch.

    It depends only on the history and on a file with the best state, so resumed training stops at the same
    epoch as uninterrupted training.

    Args:
        history: the callback from which the metric is read; place it before this one.
        path: the file of the best state, `best.npz`.
        patience: the number of epochs to wait for a lower value.
        figure: the name of the metric in the history, such as `val_loss`; lower is better.
    """

    def __init__(
        self, history: HistoryFile, path: str | Path, *, patience: int, figure: str = "val_loss"
    ) -> None:
        super().__init__()
        if patience < 1:
            raise ValueError(
                f"patience: expected a number of epochs of at least 1, got {patience}. Pass 1 or more."
            )
        self.history, self.path, self.patience, self.figure = history, Path(path), patience, figure

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Save the state if it is the best so far; stop if the best is `patience` epochs old."""
        if self.figure not in self.history.history:
            reported = ", ".join(self.history.history)
            raise ValueError(
                f"figure: expected a metric of the history ({reported}), got {self.figure!r}. Pass one of "
                "these, or train without patience."
            )
        values = self.history.history[self.figure]
        if _best(values) == len(values) - 1:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_state(self.model, self.path)
        self.model.stop_training = stalled(values, self.patience)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Restore the best state."""
        if self.path.exists():
            restore_state(self.model, self.path)


def stalled(values: Sequence[float], patience: int) -> bool:
    """Return whether the lowest value is at least `patience` values before the last."""
    return bool(values) and len(values) - 1 - _best(values) >= patience


def _best(values: Sequence[float]) -> int:
    return min(range(len(values)), key=values.__getitem__)
