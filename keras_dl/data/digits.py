"""The embedded data set: scikit-learn's scans of handwritten digits, available without a network."""

from __future__ import annotations

import numpy as np

from keras_dl.data.source import Description, Examples, Source, resident
from keras_dl.data.splits import stratified_order

_SEED = 0  # part of the published meaning of the splits: never change it


def open_digits() -> Source:
    """Open 1,797 scans of digits: 8x8 pixels with 17 gray levels, scaled to [0, 1].

    scikit-learn defines no splits. These are stratified by class with a fixed seed: train (70%, 1,258
    examples), validation (10%, 180) and test (20%, 359), the same on every machine.

    Source: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998.
    """
    from sklearn.datasets import load_digits

    scans = load_digits()
    images = (scans.images / 16).astype(np.float32)[..., np.newaxis]
    labels = scans.target.astype(np.int32)
    order = stratified_order(labels, _SEED)
    bounds = [round(len(order) * fraction) for fraction in (0, 0.7, 0.8, 1)]
    parts = {
        part: Examples(images, labels).take(np.sort(order[start:stop]))
        for part, start, stop in zip(("train", "validation", "test"), bounds, bounds[1:], strict=False)
    }
    description = Description(
        "digits",
        num_examples={part: len(examples.features) for part, examples in parts.items()},
        image_shape=(8, 8, 1),
        class_names=tuple(str(name) for name in scans.target_names),
    )
    return resident(description, parts)
