"""The norm of the gradient of each weight during training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from keras_dl.reports import figures


class GradientFlow(keras.callbacks.Callback):
    """A callback that measures, and optionally draws, |dL/dw| of every trainable weight w on one batch.

    A gradient vanishes if it shrinks from the last layer to the first, and explodes if it grows. L is the
    loss with which the model is compiled, at `training=False`, so that epochs differ only by their weights.

    Args:
        inputs: the inputs of the batch.
        targets: the targets of the batch.
        folder: the folder of the pictures, such as `gradients-0005.png` after 5 epochs; None draws none.
        every: the number of epochs between measurements.

    Attributes:
        names: the names of the weights, from first to last.
        epochs: the epochs after which it was measured; 0 is before training.
        norms: the norms of all weights, one array per measurement.

    Raises:
        ValueError: `every` is below 1.

    Reference: notes 5.1.1; Glorot and Bengio, Understanding the difficulty of training deep feedforward
        neural networks (2010).
    """

    def __init__(
        self, inputs: Any, targets: Any, *, folder: str | Path | None = None, every: int = 1
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(
                f"every: expected a number of epochs of at least 1, got {every}. Pass 1 or more."
            )
        self.inputs, self.targets, self.every = inputs, targets, every
        self.folder = None if folder is None else Path(folder)
        self.names: list[str] = []
        self.epochs: list[int] = []
        self.norms: list[NDArray[np.float64]] = []

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Measure the untrained model."""
        self.names, self.epochs, self.norms = [], [], []
        self._measure(0)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Measure and draw after every `every` epochs."""
        if (epoch + 1) % self.every == 0:
            self._measure(epoch + 1)

    def _measure(self, epoch: int) -> None:
        with tf.GradientTape() as tape:
            outputs = self.model(self.inputs, training=False)
            loss = self.model.compute_loss(x=self.inputs, y=self.targets, y_pred=outputs, training=False)
        weights = self.model.trainable_weights
        gradients = tape.gradient(
            loss, [each.value for each in weights], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        self.names = [each.path for each in weights]
        self.epochs.append(epoch)
        self.norms.append(np.array([float(tf.linalg.global_norm([each])) for each in gradients]))
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            figure = Figure(figsize=(6, 0.28 * len(self.names) + 1.2), layout="constrained")
            self.plot(figure.add_subplot())
            figures.save(figure, self.folder / f"gradients-{epoch:04d}.png", dpi=100)

    def plot(self, axes: Axes) -> Axes:
        """Draw the norms on `axes`, one row per weight, before training and after the last measured epoch."""
        rows = np.arange(len(self.names))
        for norms, epoch, color in (
            (self.norms[0], self.epochs[0], "#93c5fd"),
            (self.norms[-1], self.epochs[-1], "#2563eb"),
        ):
            axes.plot(
                np.where(norms > 0, norms, np.nan),
                rows,
                "o-",
                color=color,
                ms=4,
                lw=1,
                label=f"epoch {epoch}",
            )
        axes.set_yticks(rows, ["/".join(name.split("/")[-2:]) for name in self.names], fontsize=7)
        axes.set_xscale("log")
        axes.invert_yaxis()
        axes.set_xlabel("norm of the gradient", fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#e5e7eb", linewidth=0.8)
        axes.legend(frameon=False, fontsize=8)
        return axes
