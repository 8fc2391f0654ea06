"""Conversion of named batches, `{"image": ..., "label": ...}`, to pairs for the models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_ADVICE = (
    'Name the inputs "image" and the classes "label", or map the batches, '
    'dataset.map(lambda batch: (batch["inputs"], batch["classes"])).'
)


def unnamed(x: Any, y: Any = None) -> tuple[Any, Any]:
    """Return inputs and labels of data for `fit` or `predict` that names them `image` and `label`.

    Args:
        x: a `tf.data.Dataset` whose batches are dicts, as in TensorFlow Datasets, or have a dict as inputs;
            or a dict of arrays. Other data is returned unchanged.
        y: labels that are passed separately from x.

    Returns:
        x, a data set of images or (image, label), or the images; and y, or the labels of the dict.

    Raises:
        ValueError: a dict has no `image`.
    """
    if isinstance(x, Mapping):
        image, *label = _pair(x)
        return image, label[0] if label and y is None else y
    if not isinstance(x, tf.data.Dataset):
        return x, y
    spec = x.element_spec
    if isinstance(spec, Mapping):
        alone = len(_pair(spec)) == 1
        return x.map(lambda batch: _pair(batch)[0] if alone else _pair(batch)), y
    if isinstance(spec, tuple) and spec and isinstance(spec[0], Mapping):
        _pair(spec[0])
        return x.map(lambda inputs, *rest: (inputs["image"], *rest)), y
    return x, y


def _pair(batch: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return (image, label), or (image,) without labels."""
    if "image" not in batch:
        raise ValueError(
            "image: expected batches of inputs, of pairs (input, label), or of dicts with the key 'image', "
            f"got dicts with the keys {', '.join(map(repr, batch)) or 'none'}. {_ADVICE}"
        )
    return (batch["image"], batch["label"]) if "label" in batch else (batch["image"],)
