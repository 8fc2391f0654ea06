"""The figures of each epoch, as a CSV file."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path

import keras

from keras_dl.callbacks.checkpoints import named_optimizers
from keras_dl_export.files import replacing


class HistoryFile(keras.callbacks.Callback):
    """Keeps `history.csv`: a row an epoch with its number from 1, seconds, learning rates and figures.

    The file is replaced after each epoch, so that readers find it whole.

    Args:
        path: the CSV file.
        history: the epochs before, where a training is resumed: figure -> its value after each epoch.
    """

    def __init__(self, path: str | Path, history: Mapping[str, list[float]] | None = None) -> None:
        super().__init__()
        self.path = Path(path)
        self.history = {name: list(values) for name, values in (history or {}).items()}
        self._epoch_began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Start the clock."""
        self._epoch_began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Add the epoch's row."""
        seconds = time.perf_counter() - self._epoch_began
        for name, value in {"seconds": seconds, **self._learning_rates(), **(logs or {})}.items():
            self.history.setdefault(name, []).append(float(value))
        write_history(self.path, self.history)

    def _learning_rates(self) -> dict[str, float]:
        """`optimizer` -> `learning_rate`, `generator_optimizer` -> `generator_learning_rate`."""
        return {
            name.replace("optimizer", "learning_rate"): float(optimizer.learning_rate.numpy())
            for name, optimizer in named_optimizers(self.model).items()
        }


def write_history(path: Path, history: Mapping[str, list[float]]) -> None:
    """Write figure -> values as CSV, one row an epoch, with all digits of the floats."""
    with replacing(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        rows = zip(*history.values(), strict=True)
        writer.writerows([epoch, *map(repr, row)] for epoch, row in enumerate(rows, start=1))


def read_history(path: Path, epochs: int | None = None) -> dict[str, list[float]]:
    """What `write_history` wrote: figure -> its value after each epoch, of the first `epochs` ones."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        _, *names = next(reader := csv.reader(file))
        rows = [[float(value) for value in row[1:]] for row in reader][:epochs]
    return {name: [row[column] for row in rows] for column, name in enumerate(names)}
