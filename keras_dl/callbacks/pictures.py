"""Pictures drawn while a model trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
from matplotlib.figure import Figure

from keras_dl.callbacks.averaging import averaged_weights
from keras_dl.reports import figures


class Pictures(keras.callbacks.Callback):
    """Draws the same picture each few epochs: `epoch-0005.png` shows the model after 5 epochs.

    Args:
        draw: model -> figure; let it draw the same noise every time, so that the pictures can be compared.
        folder: where they go; it is made if need be.
        every: epochs from one picture to the next.
        name: put before the number of the epoch.
    """

    def __init__(
        self, draw: Callable[[Any], Figure], folder: str | Path, *, every: int = 1, name: str = "epoch"
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(
                f"every: expected a number of epochs of at least 1, got {every}. Pass 1 or more."
            )
        self.draw, self.folder, self.every, self.name = draw, Path(folder), every, name

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Draw, if it is time."""
        if (epoch + 1) % self.every == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            with averaged_weights(self.model):
                figure = self.draw(self.model)
            figures.save(figure, self.folder / f"{self.name}-{epoch + 1:04d}.png", dpi=100)
