"""The user's own arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl.data.source import Description, Examples, Labels, Source, resident


def open_arrays(x: ArrayLike, y: ArrayLike | None = None) -> Source:
    """Arrays with the single part `train`, in their own order.

    Args:
        x: images (N, H, W) or (N, H, W, C), uint8 in 0...255, floats in [0, 1] or booleans; or features
            (N, D).
        y: labels (N,): classes 0 ... K-1, or names of classes.

    Raises:
        ValueError: empty, of unequal length, of another shape or dtype, floats outside [0, 1].
    """
    try:
        features = np.asarray(x)
    except ValueError as error:
        raise ValueError(
            f"source: expected an array x or a pair of arrays (x, y), got a {type(x).__name__} that is no "
            f"array ({error}). Stack the examples, np.stack(images), and pass labels as load((x, y))."
        ) from None
    if features.ndim not in (2, 3, 4):
        raise ValueError(
            "source: expected images of shape (N, H, W) or (N, H, W, C) or features of shape (N, D), "
            f"got an array of shape {features.shape} (of type {type(x).__name__}). Reshape it, with the "
            "examples along the first axis."
        )
    if not features.size:
        raise ValueError(
            f"source: the array x of shape {features.shape} is empty. Give at least one example."
        )
    labels, class_names = (None, None) if y is None else encode_labels(y, argument="the labels y")
    if labels is not None and len(labels) != len(features):
        raise ValueError(
            f"source: x has {len(features):,} examples and y has {len(labels):,} labels. "
            "Give arrays of equal length, example i of x with label i of y."
        )
    features = check_features(features) if features.ndim == 2 else _check_images(features)
    description = Description(
        "arrays",
        num_examples={"train": len(features)},
        image_shape=features.shape[1:] if features.ndim == 4 else None,
        num_features=features.shape[1] if features.ndim == 2 else None,
        class_names=class_names,
    )
    return resident(description, {"train": Examples(features, labels)})


def check_features(features: NDArray[Any]) -> NDArray[np.float32]:
    """(N, D) numbers -> float32, all finite."""
    if not (np.issubdtype(features.dtype, np.number) or features.dtype == np.bool_) or np.iscomplexobj(
        features
    ):
        raise ValueError(
            f"source: expected features that are real numbers, got dtype {features.dtype}. "
            "Convert them to float32."
        )
    features = features.astype(np.float32)
    if not np.isfinite(features).all():
        row, column = np.argwhere(~np.isfinite(features))[0]
        raise ValueError(
            f"source: feature {column} of example {row} is {features[row, column]}. "
            "Expected finite numbers: fill in or leave out such examples."
        )
    return features


def encode_labels(y: ArrayLike, *, argument: str) -> tuple[Labels, tuple[str, ...]]:
    """Labels -> classes 0 ... K-1 and the K names: whole numbers stand for themselves, names are sorted."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"source: expected {argument} of shape (N,), got {labels.shape}. "
            "For one-hot labels pass y.argmax(axis=1)."
        )
    if labels.dtype.kind in "USO":
        names, encoded = np.unique(labels.astype(str), return_inverse=True)
        return encoded.astype(np.int32), tuple(str(name) for name in names)
    whole = labels.dtype.kind in "iub" or (
        labels.dtype.kind == "f" and bool(np.all(labels == np.floor(labels)))
    )
    if not whole or (labels.size and not 0 <= labels.min() <= labels.max() < 2**31):
        strange = (
            labels[(labels < 0) | (labels != np.floor(labels))][:1] if labels.dtype.kind in "iuf" else []
        )
        raise ValueError(
            f"source: expected {argument} to be classes 0, 1, 2, ... or names of classes, got dtype "
            f"{labels.dtype}{f' with the value {strange[0]}' if len(strange) else ''}. "
            "Number the classes from 0."
        )
    return labels.astype(np.int32), tuple(str(label) for label in range(int(labels.max(initial=0)) + 1))


def _check_images(images: NDArray[Any]) -> NDArray[Any]:
    """(N, H, W[, C]) -> (N, H, W, C) uint8 or float32 in [0, 1]."""
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.dtype == np.uint8:
        return images
    if images.dtype == np.bool_:
        return images.astype(np.float32)
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            f"source: expected images as uint8 in 0...255 or as floats in [0, 1], got dtype {images.dtype}. "
            "Convert them, for example with x.astype('uint8')."
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise ValueError(
            f"source: expected float images in [0, 1], got values from {low:g} to {high:g}. "
            "Divide pixels of 0...255 by 255, and undo a normalisation to [-1, 1] or zero mean."
        )
    return images.astype(np.float32)
