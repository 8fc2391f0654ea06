"""The training of the feature LeNet.

    python -m keras_dl.metrics.train_lenet lenet_mnist.npz

This script trains on only the training split of MNIST, evaluates the test split once, and writes the weights.
Time: 30 min on 2 busy CPU cores. Result: test accuracy 0.9953, and the file of the SHA-256 in `lenet.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_dl.metrics.lenet import build_lenet
from keras_dl_export.files import sha256

SEED = 0
EPOCHS = 15
BATCH_SIZE = 128
SHIFT = 2  # pixels; all images of a batch are shifted equally


def train(images: Any, labels: Any) -> Any:
    """Return a LeNet trained on images (N, 28, 28, 1) in [0, 1] and labels (N,), with a fixed seed."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()

    def shifted(images: Any, labels: Any) -> tuple[Any, Any]:
        padded = tf.pad(images, [[0, 0], [SHIFT, SHIFT], [SHIFT, SHIFT], [0, 0]])
        return tf.image.random_crop(padded, tf.shape(images)), labels

    batches = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images)).batch(BATCH_SIZE)
    batches = batches.map(shifted, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    model = build_lenet()
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * len(batches))),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=2)
    return model


def main() -> None:
    """Train on MNIST, and write the weights to the path on the command line."""
    import tensorflow_datasets as tfds

    (x, y), (x_test, y_test) = tfds.load("mnist", split=["train", "test"], batch_size=-1, as_supervised=True)
    model = train(tf.cast(x, tf.float32) / 255, y)
    _, accuracy = model.evaluate(tf.cast(x_test, tf.float32) / 255, y_test, verbose=0)
    path = Path(sys.argv[1])
    np.savez(path, *(weight.numpy() for weight in model.trainable_weights))
    digest = sha256(path)
    sys.stdout.write(f"test accuracy {accuracy:.4f}\nsha256 {digest}\n{path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
