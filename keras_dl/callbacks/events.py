"""The metrics of each epoch as TensorBoard events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf


class TensorBoardEvents(keras.callbacks.Callback):
    """A callback that writes the metrics of each epoch as TensorBoard events, training and validation apart.

    Unlike Keras's callback, it does not need the tensorboard package; only reading the events,
    `tensorboard --logdir runs`, does.

    Args:
        folder: the parent folder of `train/` and `validation/`.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder)
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the metrics of the epoch; the step is the number of the epoch, counted from 1."""
        for name, value in (logs or {}).items():
            part = "validation" if name.startswith("val_") else "train"
            if part not in self._writers:
                self._writers[part] = tf.summary.create_file_writer(str(self.folder / part))
            with self._writers[part].as_default():
                tag = name.removeprefix("val_")
                value = tf.constant(value, tf.float32)
                tf.summary.write(f"epoch_{tag}", value, epoch + 1, _scalar_metadata())
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()


def _scalar_metadata() -> tf.compat.v1.SummaryMetadata:
    """Return the metadata by which TensorBoard's scalar dashboard recognizes a tensor."""
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "scalars"
    metadata.data_class = 1  # DATA_CLASS_SCALAR
    return metadata
