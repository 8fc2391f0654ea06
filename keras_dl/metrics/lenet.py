"""The small classifier in whose features the distances between images are computed."""

from __future__ import annotations

import functools
import io
from importlib import resources
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl_export.files import sha256

IMAGE_SHAPE = (28, 28, 1)
NUM_FEATURES = 84
WEIGHTS_FILE = "lenet_mnist.npz"
WEIGHTS_SHA256 = "7bf3be81a25a5c9c11432c7213f3f29d775497ea9ec602ff3f6bf8b78734e90e"


class LeNetOutputs(NamedTuple):
    """Outputs of the feature LeNet for N images: features (N, 84) float32 and classes (N,)."""

    features: NDArray[np.float32]
    classes: NDArray[np.int64]


def lenet_outputs(images: ArrayLike) -> LeNetOutputs:
    """Return features and classes of gray images of MNIST's size, from the LeNet in this package.

    It was trained by `train_lenet.py` on only the training split of MNIST, and its accuracy on the test split
    is 99.53%. Its weights are verified by their SHA-256 when they are read.

    Args:
        images: (N, 28, 28, 1), in [0, 1].

    Raises:
        ValueError: there are no images, or they have another shape or values outside [0, 1].
    """
    images = np.asarray(images, np.float32)
    if images.shape[1:] != IMAGE_SHAPE or not len(images):
        raise ValueError(
            f"images: expected shape (N, 28, 28, 1), N >= 1, got {images.shape}. "
            "Resize them, for example with keras_dl.data.load(..., image_size=28)."
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise ValueError(
            f"images: expected values in [0, 1], got {low:g} to {high:g}. "
            "Rescale the outputs of the model to [0, 1]."
        )
    features, logits = _network().predict(images, batch_size=500, verbose=0)
    return LeNetOutputs(features, logits.argmax(axis=-1))


def build_lenet() -> Any:
    """Return an untrained LeNet: images (B, 28, 28, 1) in [0, 1] -> logits (B, 10).

    Two 5x5 convolutions with max pooling, the layer `features` of 84 rectified units, and a linear
    classifier: 139,046 weights.

    Reference: LeCun et al., Gradient-based learning applied to document recognition (1998), from which
    the 84 units of the last hidden layer are taken.
    """
    float32 = keras.DTypePolicy("float32")  # independent of the precision of the model under test
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE),
            keras.layers.Conv2D(32, 5, activation="relu", dtype=float32),
            keras.layers.MaxPooling2D(dtype=float32),
            keras.layers.Conv2D(64, 5, activation="relu", dtype=float32),
            keras.layers.MaxPooling2D(dtype=float32),
            keras.layers.Flatten(dtype=float32),
            keras.layers.Dropout(0.4, dtype=float32),
            keras.layers.Dense(NUM_FEATURES, activation="relu", name="features", dtype=float32),
            keras.layers.Dense(10, name="logits", dtype=float32),
        ]
    )


@functools.cache
def _network() -> Any:
    content = resources.files(__package__).joinpath(WEIGHTS_FILE).read_bytes()
    digest = sha256(content)
    if digest != WEIGHTS_SHA256:
        raise RuntimeError(
            f"{WEIGHTS_FILE}: expected SHA-256 {WEIGHTS_SHA256}, got {digest}; these are not the "
            "weights of the published distances. Reinstall keras-dl."
        )
    lenet = build_lenet()
    with np.load(io.BytesIO(content)) as weights:
        for variable, name in zip(lenet.trainable_weights, weights.files, strict=True):
            variable.assign(weights[name])
    return keras.Model(lenet.inputs, [lenet.get_layer("features").output, lenet.outputs[0]])
