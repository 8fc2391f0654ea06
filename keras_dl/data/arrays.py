"""Arrays of the user: NumPy arrays and objects that convert to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl.data.labels import encode_labels
from keras_dl.data.notices import notify
from keras_dl.data.source import Description, Examples, Source, resident

_CHANNELS = (1, 3, 4)


def open_arrays(
    x: ArrayLike, y: ArrayLike | None = None, *, name: str = "arrays", max_classes: int | None = None
) -> Source:
    """Open arrays as a source with the single part `train`, in the given order.

    Args:
        x: images (N, H, W) or (N, H, W, C), integers in 0...255, floats in [0, 1] or booleans; or
            features (N, D).
        y: labels (N,), as `encode_labels` reads them.
        name: the name in the description.
        max_classes: as in `encode_labels`.

    Raises:
        ValueError: the arrays are empty, of unequal length or of another shape or dtype, or contain floats
            outside [0, 1].
    """
    return open_parts({"train": (x, y)}, name=name, max_classes=max_classes)


def open_parts(
    parts: Mapping[str, tuple[ArrayLike, ArrayLike | None]], *, name: str, max_classes: int | None = None
) -> Source:
    """Open arrays of several parts as one source, with the same label encoding for all.

    Args:
        parts: part -> its x and y, as for `open_arrays`; either all parts have labels or none.
        name: the name in the description.
        max_classes: as in `encode_labels`.

    Raises:
        ValueError: as in `open_arrays`, or the parts have different shapes.
    """
    features = {part: _as_features(x, alone=y is None) for part, (x, y) in parts.items()}
    for _, y in parts.values():
        _refuse_masked(y)
    given = {part: np.asarray(y) for part, (_, y) in parts.items() if y is not None}
    for part, y in given.items():
        if y.ndim and len(y) != len(features[part]):
            raise ValueError(
                f"source: expected x and y of equal length, got {len(features[part]):,} examples and "
                f"{len(y):,} labels. Pass one label per example."
            )
    labels: dict[str, Any] = dict.fromkeys(parts)
    class_names = None
    if given:
        joined = next(iter(given.values())) if len(given) == 1 else np.concatenate(list(given.values()))
        encoded, class_names = encode_labels(joined, argument="the labels y", max_classes=max_classes)
        pieces = np.split(encoded, np.cumsum([len(y) for y in given.values()])[:-1])
        labels.update(zip(given, pieces, strict=True))
    shapes = {part: array.shape[1:] for part, array in features.items()}
    shape = shapes["train"]
    if different := next((part for part in shapes if shapes[part] != shape), None):
        raise ValueError(
            f"source: expected parts of the same shape in {name}, got {shape} in 'train' and "
            f"{shapes[different]} in {different!r}. Reshape or resize the examples to one shape."
        )
    description = Description(
        name,
        num_examples={part: len(array) for part, array in features.items()},
        image_shape=shape if len(shape) == 3 else None,
        num_features=shape[0] if len(shape) == 1 else None,
        class_names=class_names,
    )
    return resident(description, {part: Examples(features[part], labels[part]) for part in parts})


def _as_features(x: ArrayLike, *, alone: bool) -> NDArray[Any]:
    _refuse_masked(x)
    try:
        features = np.asarray(x)
    except Exception as error:  # ragged lists, and any error that the `__array__` of another library raises
        raise ValueError(
            f"source: expected an array x or a pair of arrays (x, y), got a {type(x).__name__} that "
            f"cannot be converted ({error}). Stack the examples, np.stack(images), and pass labels as "
            "load((x, y))."
        ) from None
    if features.ndim not in (2, 3, 4):
        raise ValueError(
            "source: expected images of shape (N, H, W) or (N, H, W, C) or features of shape (N, D), "
            f"got an array of shape {features.shape} (of type {type(x).__name__}). {_advice(x)}"
        )
    if not features.size:
        raise ValueError(
            f"source: expected at least one example, got an empty array x of shape {features.shape}. Pass "
            "an array with examples."
        )
    if features.dtype == object:
        features = _of_numbers(features)
    return _check_features(features) if features.ndim == 2 else _check_images(features, alone=alone)


def _refuse_masked(values: Any) -> None:
    if np.ma.is_masked(values):
        raise ValueError(
            f"source: expected arrays without masked values, got {int(np.ma.getmaskarray(values).sum()):,} "
            "masked values. Fill them in, x.filled(value), or remove these examples."
        )


def _advice(x: Any) -> str:
    if type(x).__name__.endswith("Dataset") and hasattr(x, "element_spec"):
        return (
            "A tf.data.Dataset is already a pipeline: pass it to fit directly, or pass the arrays that it "
            "was made from."
        )
    if hasattr(x, "toarray"):
        return "Convert the sparse array to a dense one, x.toarray()."
    return "Reshape it, with the examples along the first axis."


def _of_numbers(features: NDArray[Any]) -> NDArray[np.float64]:
    """Return an array of Python objects as numbers; raise `ValueError` if one is not a number."""
    try:
        return features.astype(np.float64)
    except (TypeError, ValueError):
        for place in np.ndindex(features.shape):
            try:
                float(features[place])
            except (TypeError, ValueError):
                raise ValueError(
                    f"source: expected features that are real numbers, got {features[place]!r} at {place} "
                    "of an array of objects. Encode text as numbers, fill in missing values, and give all "
                    "examples the same shape."
                ) from None
        raise


def _check_features(features: NDArray[Any]) -> NDArray[np.float32]:
    """Return (N, D) features as float32; raise `ValueError` if a value is not finite."""
    if features.dtype.kind not in "biuf":
        raise ValueError(
            f"source: expected features that are real numbers, got dtype {features.dtype}. "
            "Convert them to float32."
        )
    with np.errstate(over="ignore"):
        converted = features.astype(np.float32)
    if not np.isfinite(converted).all():
        wrong = np.argwhere(~np.isfinite(converted))
        row, column = (int(place) for place in wrong[0])
        others = f", one of {len(wrong):,} such values" if len(wrong) > 1 else ""
        raise ValueError(
            f"source: expected finite numbers, got {features[row, column]} in feature {column} of example "
            f"{row}{others}. Fill in such values, or remove these examples."
        )
    return converted


def _check_images(images: NDArray[Any], *, alone: bool) -> NDArray[Any]:
    """Return images (N, H, W[, C]) as (N, H, W, C) uint8, or as float32 in [0, 1]."""
    _check_channels(images.shape, alone=alone)
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.dtype == np.bool_:
        return images.astype(np.float32)
    if images.dtype.kind in "iu":
        return _check_whole(images)
    if images.dtype.kind != "f":
        raise ValueError(
            f"source: expected images as uint8 in 0...255 or as floats in [0, 1], got dtype {images.dtype}. "
            "Convert them, for example with x.astype('uint8')."
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise ValueError(
            f"source: expected float images in [0, 1], got values from {low:g} to {high:g}{_remedy(images)}"
        )
    return images.astype(np.float32)


def _remedy(images: NDArray[Any]) -> str:
    strange = ~np.isfinite(images)
    if not strange.any():
        return ". Divide pixels of 0...255 by 255, and undo a normalization to [-1, 1] or zero mean."
    place = tuple(int(axis) for axis in np.argwhere(strange)[0])
    return (
        f" ({images[place]} at {place}, the first of {int(strange.sum()):,} values that are not finite). "
        "Fill them in, or remove these images."
    )


def _check_whole(images: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = int(images.min()), int(images.max())
    if images.dtype == np.uint8:
        if high == 1:
            notify(
                "arrays: uint8 images whose largest value is 1 are read as nearly black. Pass them as "
                "booleans, x.astype(bool), if 1 is white."
            )
        return images
    if not 1 < high <= 255 or low < 0:
        raise ValueError(
            f"source: expected images as uint8 in 0...255 or as floats in [0, 1], got dtype {images.dtype} "
            f"with values from {low} to {high}. Convert them: x.astype('uint8') if 255 is white, "
            "x.astype(bool) if 1 is, (x // 257).astype('uint8') if 65535 is."
        )
    return images.astype(np.uint8)


def _check_channels(shape: tuple[int, ...], *, alone: bool) -> None:
    """Raise or warn if the order of the axes looks like (N, C, H, W) or like that of one image."""
    if len(shape) == 4 and shape[1] in _CHANNELS and shape[3] not in _CHANNELS and min(shape[2:]) > 4:
        raise ValueError(
            f"source: expected images of shape (N, H, W, C), got {shape}, which looks like (N, C, H, W). "
            "Move the channels to the end, np.moveaxis(x, 1, -1)."
        )
    if len(shape) == 3 and alone and min(shape[:2]) > 4 and shape[2] in (3, 4):
        raise ValueError(
            f"source: expected images of shape (N, H, W) or (N, H, W, C), got {shape}, which looks like "
            "one image (H, W, C). Add an axis for the examples, x[np.newaxis]."
        )
    if len(shape) == 3 and alone and shape[0] in (3, 4) and min(shape[1:]) > 4:
        notify(
            f"arrays: {shape} is read as {shape[0]} gray images. If it is one image (C, H, W), pass "
            "np.moveaxis(x, 0, -1)[np.newaxis]."
        )
