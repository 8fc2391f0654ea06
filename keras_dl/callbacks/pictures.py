"""Pictures drawn during training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
from matplotlib.figure import Figure

from keras_dl.callbacks.averaging import averaged_weights
from keras_dl.reports import figures


class Pictures(keras.callbacks.Callback):
    """A callback that draws a picture of the model periodically, such as `epoch-0005.png` after 5 epochs.

    Args:
        draw: model -> figure; for comparable pictures it should use the same noise every time.
        folder: the folder of the pictures; it is created if necessary.
        every: the number of epochs between pictures.
        name: the prefix of the number of the epoch in the file name.
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
        """Draw after every `every` epochs."""
        if (epoch + 1) % self.every == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            with averaged_weights(self.model):
                figure = self.draw(self.model)
            figures.save(figure, self.folder / f"{self.name}-{epoch + 1:04d}.png", dpi=100)
