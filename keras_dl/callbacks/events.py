"""The figures of each epoch, as TensorBoard reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf


class TensorBoardEvents(keras.callbacks.Callback):
    """Writes each epoch's figures as TensorBoard events, those of training and of validation apart.

    Keras's own callback needs the tensorboard package to write what this one writes without it; only the
    reader, `tensorboard --logdir runs`, needs to be installed.

    Args:
        folder: where `train/` and `validation/` go.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder)
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the epoch's figures, at the step that is its number from 1."""
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
    """Tells TensorBoard's scalar dashboard that the tensor is one of its own."""
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "scalars"
    metadata.data_class = 1  # DATA_CLASS_SCALAR
    return metadata
