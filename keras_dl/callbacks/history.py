"""The metrics of each epoch as a CSV file."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path

import keras

from keras_dl.callbacks.checkpoints import named_optimizers
from keras_dl_export.files import replacing


class HistoryFile(keras.callbacks.Callback):
    """A callback that writes a CSV file with one row per epoch: number, seconds, learning rates, metrics.

    Epochs are counted from 1. The file is replaced atomically after each epoch, so that readers find complete
    rows.

    Args:
        path: the CSV file.
        history: the earlier epochs of resumed training: name of a metric -> its value after each epoch.
    """

    def __init__(self, path: str | Path, history: Mapping[str, list[float]] | None = None) -> None:
        super().__init__()
        self.path = Path(path)
        self.history = {name: list(values) for name, values in (history or {}).items()}
        self._epoch_began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Start the timer of the epoch."""
        self._epoch_began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Add the row of the epoch."""
        seconds = time.perf_counter() - self._epoch_began
        for name, value in {"seconds": seconds, **self._learning_rates(), **(logs or {})}.items():
            self.history.setdefault(name, []).append(float(value))
        write_history(self.path, self.history)

    def _learning_rates(self) -> dict[str, float]:
        """Return the rates by name: `generator_optimizer` has `generator_learning_rate`."""
        return {
            name.replace("optimizer", "learning_rate"): float(optimizer.learning_rate.numpy())
            for name, optimizer in named_optimizers(self.model).items()
        }


def write_history(path: Path, history: Mapping[str, list[float]]) -> None:
    """Write the metrics as CSV, one row per epoch, with all digits of the floats."""
    with replacing(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        rows = zip(*history.values(), strict=True)
        writer.writerows([epoch, *map(repr, row)] for epoch, row in enumerate(rows, start=1))


def read_history(path: Path, epochs: int | None = None) -> dict[str, list[float]]:
    """Return what `write_history` wrote, name -> values, for the first `epochs` epochs; {} if missing."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        _, *names = next(reader := csv.reader(file))
        rows = [[float(value) for value in row[1:]] for row in reader][:epochs]
    return {name: [row[column] for row in rows] for column, name in enumerate(names)}
