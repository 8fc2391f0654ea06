"""Stop a training that no longer gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from keras_dl.callbacks.checkpoints import restore_state, save_state
from keras_dl.callbacks.history import HistoryFile


class EarlyStopping(keras.callbacks.Callback):
    """Stops when a figure has not fallen for some epochs, and goes back to the epoch at which it was lowest.

    All it goes by is the history, and the best state is a file: a resumed training stops where an
    uninterrupted one does.

    Args:
        history: what the figure is read from; this callback comes after it.
        path: the file that keeps the best state, `best.npz`.
        patience: epochs to wait for a lower value.
        figure: its name in the history, such as `val_loss`; less is better.
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
        """Keep the state if it is the best so far, and stop if the best is long ago."""
        if self.figure not in self.history.history:
            known = ", ".join(self.history.history)
            raise ValueError(
                f"figure: there is no {self.figure!r} to stop by; the epochs report {known}. Name one of "
                "these, or train without patience."
            )
        values = self.history.history[self.figure]
        if _best(values) == len(values) - 1:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_state(self.model, self.path)
        self.model.stop_training = stalled(values, self.patience)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Go back to the best state."""
        if self.path.exists():
            restore_state(self.model, self.path)


def stalled(values: Sequence[float], patience: int) -> bool:
    """Whether the lowest of the values came `patience` or more values before the last."""
    return bool(values) and len(values) - 1 - _best(values) >= patience


def _best(values: Sequence[float]) -> int:
    return min(range(len(values)), key=values.__getitem__)
