"""Encoding of labels (names, integers or booleans) as classes 0 ... K-1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl.data.notices import listed, notify
from keras_dl.data.source import Labels

_MOST_CLASSES = 1_000
_MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "<na>", "?"}


def is_missing(value: Any) -> bool:
    """Return whether a cell has no value: empty, None, NaN, or a marker such as `NA` and `?`."""
    if isinstance(value, str):
        return value.strip().lower() in _MISSING
    try:
        return value is None or bool(value != value)  # NaN is unequal to itself
    except TypeError:  # the comparison of pandas' NA has no truth value
        return True
    except ValueError:  # an array within a cell
        return False


def encode_labels(
    y: ArrayLike,
    *,
    argument: str,
    max_classes: int | None = None,
    row: Callable[[int], str] = "label {}".format,
) -> tuple[Labels, tuple[str, ...]]:
    """Return the labels as classes 0 ... K-1, and the K names: the distinct values in sorted order.

    Args:
        y: (N,) or (N, 1): names, integers or booleans. Text that consists of integers only is read as
            integers.
        argument: the name of the labels in errors.
        max_classes: the largest K; by default 1,000, and labels that look like measurements are refused.
        row: the index of a label -> its location, for errors.

    Raises:
        ValueError: a label is missing or is not a class, or there are too many classes.
    """
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"source: expected {argument} of shape (N,), got {labels.shape}. "
            "For one-hot labels pass y.argmax(axis=1)."
        )
    if missing := _missing(labels):
        raise ValueError(
            f"source: expected {argument} to name the class of every example, got missing values in "
            f"{len(missing):,} of {len(labels):,} ({listed([row(index) for index in missing])}). Fill them "
            "in, or remove these examples."
        )
    labels = _as_numbers(labels, argument)
    if labels.dtype.kind == "f":
        _check_whole(labels, argument, row)
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuU":
        raise ValueError(
            f"source: expected {argument} to be classes 0, 1, 2, ... or names of classes, got dtype "
            f"{labels.dtype}. Number the classes from 0."
        )
    classes, encoded = np.unique(labels, return_inverse=True)
    _check_number(classes, len(labels), argument, max_classes)
    names = tuple(str(name) for name in classes)
    for doubt in doubtful_classes(names):
        notify(f"{argument}: {doubt}.")
    return encoded.astype(np.int32), names


def doubtful_classes(names: Sequence[str]) -> list[str]:
    """Return warnings about the classes: a single class, or names that differ only in case or spaces."""
    doubts = [f"there is only one class, {names[0]}"] if len(names) == 1 else []
    by_folded_name: dict[str, list[str]] = {}
    for name in names:
        by_folded_name.setdefault(" ".join(name.casefold().split()), []).append(name)
    for group in by_folded_name.values():
        if len(group) > 1:
            spelled = listed([repr(name) for name in group])
            doubts.append(f"{spelled} are different classes, though only case or spaces differ")
    return doubts


def _missing(labels: NDArray[Any]) -> list[int]:
    if labels.dtype.kind == "f":
        return [int(index) for index in np.flatnonzero(np.isnan(labels))]
    if labels.dtype.kind not in "UO":
        return []
    return [index for index, label in enumerate(labels.tolist()) if is_missing(label)]


def _as_numbers(labels: NDArray[Any], argument: str) -> NDArray[Any]:
    """Return text and objects as booleans, numbers or names, according to their content."""
    if labels.dtype.kind == "S":
        labels = _decoded(labels, argument)
    if labels.dtype.kind not in "UO":
        return labels
    values = labels.tolist()
    if all(isinstance(value, bool | np.bool_) for value in values):
        return labels.astype(np.bool_)
    try:
        return np.array([float(value) for value in values])
    except (TypeError, ValueError):
        return np.array(
            [_decoded(each, argument) if isinstance(each, bytes) else str(each) for each in values]
        )


def _decoded(names: Any, argument: str) -> Any:
    """Return one name in bytes, or an array of them, as text."""
    try:
        return np.char.decode(names, "utf-8")[()]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"source: expected {argument} in UTF-8, got the bytes {error.object[:40]!r}. Decode them, for "
            "example with numpy.char.decode(y, 'latin-1')."
        ) from None


def _check_whole(labels: NDArray[Any], argument: str, row: Callable[[int], str]) -> None:
    strange = np.flatnonzero((labels != np.floor(labels)) | (np.abs(labels) >= 2**63))
    if len(strange):
        first = int(strange[0])
        raise ValueError(
            f"source: expected {argument} to be classes 0, 1, 2, ... or names of classes, got dtype "
            f"{labels.dtype} with the value {labels[first]} ({row(first)}), which looks like a measurement. "
            "Group the values into classes, for example with numpy.digitize, or pass labels=False for the "
            "features alone."
        )


def _check_number(classes: NDArray[Any], num_examples: int, argument: str, max_classes: int | None) -> None:
    most = _MOST_CLASSES if max_classes is None else max_classes
    kind = "names" if classes.dtype.kind == "U" else "integers"
    shown = listed([str(name)[:40] for name in classes], at_most=3)
    if len(classes) > most:
        raise ValueError(
            f"max_classes: expected {argument} to contain at most {most:,} classes, got {len(classes):,} "
            f"distinct {kind} in {num_examples:,} examples ({shown}). Select another column, group the "
            f"values, or pass max_classes={len(classes)} if each is a class."
        )
    if kind == "names":
        measured = len(classes) > 20 and num_examples < 2 * len(classes)
    else:
        first, last = int(classes[0]), int(classes[-1])
        gaps = last - first + 1 != len(classes)
        measured = len(classes) > 10 and num_examples < 2 * len(classes) and (gaps or first != 0)
        measured |= gaps and len(classes) > 50 and num_examples < 10 * len(classes)
        if gaps and first >= 0 and last < _MOST_CLASSES and not measured:
            notify(
                f"{argument}: the {len(classes):,} distinct integers ({shown}) are encoded as the classes 0 "
                f"to {len(classes) - 1}; absent numbers between them are not classes."
            )
    if measured and max_classes is None:
        raise ValueError(
            f"max_classes: expected {argument} to be classes, got {len(classes):,} distinct {kind} in "
            f"{num_examples:,} examples ({shown}), which look like measurements or identifiers. Select "
            f"another column, group the values, or pass max_classes={len(classes)} if each is a class."
        )
