"""Splits: `train`, slices such as `train[:90%]`, and parts carved from `train`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from keras_dl.data.source import Indices, Labels

Selection = list[tuple[str, Indices]]  # (part of the stored data, indices into it), concatenated

_SLICE = re.compile(r"^\s*(\w+)\s*(?:\[\s*(-?\d+%?)?\s*:\s*(-?\d+%?)?\s*\])?\s*$")
_CARVED = ("test", "validation")  # carved from the end of the order in this sequence, a tenth of train each
_SEED = 0  # part of the published meaning of carved splits: never change it


def select(
    splits: Sequence[str],
    sizes: Mapping[str, int],
    *,
    name: str,
    strata: Callable[[str], Labels | None] = lambda part: None,
) -> list[Selection]:
    """Return the examples of each split.

    A split is a part that the data set has, a slice of one in TFDS's notation (`train[:90%]`,
    `train[-100:]`, `train[:10]+test`), or, together with `train`, a part that the data set lacks: then
    `validation` and `test` are each a fixed tenth of `train`, and `train` is the rest. Without `train` they
    are an error, because a separately loaded `train` would contain their examples.

    Args:
        splits: the splits requested together.
        sizes: the number of examples of each part that the data set has.
        name: the name of the data set, for errors.
        strata: part -> its classes, for stratified carving; without them the end of `train` is carved.

    Raises:
        ValueError: a split is unknown, malformed, out of range or empty.
    """
    lacking = [split for split in splits if split in _CARVED and split not in sizes]
    if not lacking:
        return [_parse(split, sizes, name) for split in splits]
    if overlapping := [split for split in splits if split.startswith("train") and split != "train"]:
        raise ValueError(
            f"split: expected 'train' together with {lacking[0]!r}, which is carved from 'train' of {name}, "
            f"got {overlapping[0]!r}, which may contain the same examples. Write all splits as slices, for "
            "example ('train[:80%]', 'train[80%:90%]', 'train[90%:]')."
        )
    if "train" not in splits or "train" not in sizes:
        raise ValueError(
            f"split: {name} has no {lacking[0]!r} split; it has {_sizes(sizes)}. Request both together, "
            f"split=('train', {lacking[0]!r}), which keeps them disjoint, or slice: "
            "split='train[:90%]' and split='train[90%:]'."
        )
    tenths = _tenths(sizes["train"], strata("train"), [part for part in _CARVED if part not in sizes])
    carved = {"train": _rest(sizes["train"], [tenths[part] for part in lacking]), **tenths}
    if empty := [split for split in ("train", *lacking) if not len(carved[split])]:
        raise ValueError(
            f"split: expected at least one example in {empty[0]!r}, got too few examples to carve it from "
            f"{name}: {_sizes(sizes)}. Add data, or pass slices of 'train'."
        )
    return [[("train", carved[split])] if split in carved else _parse(split, sizes, name) for split in splits]


def stratified_order(labels: Labels, seed: int) -> Indices:
    """Return an order in which every interval has the classes in proportion, random within each class.

    The example of rank r among the n of its class is placed at the fraction (r + u) / n, u uniform.
    """
    random = np.random.default_rng(seed)
    position = np.empty(len(labels))
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        position[random.permutation(members)] = (np.arange(len(members)) + random.random()) / len(members)
    return np.argsort(position, kind="stable")


def _tenths(size: int, labels: Labels | None, parts: Sequence[str]) -> dict[str, Indices]:
    bounds = [round(size * (1 - i / 10)) for i in range(len(parts) + 1)]
    if labels is None:
        return {part: range(bounds[i + 1], bounds[i]) for i, part in enumerate(parts)}
    order = stratified_order(labels, _SEED)
    return {part: np.sort(order[bounds[i + 1] : bounds[i]]) for i, part in enumerate(parts)}


def _rest(size: int, carved: Sequence[Indices]) -> Indices:
    """Return the indices that are not carved, in order; a range if the last ones are carved."""
    if all(isinstance(part, range) for part in carved):
        first = min((part[0] for part in carved if len(part)), default=size)
        if sum(map(len, carved)) == size - first:
            return range(first)
    remaining = np.ones(size, np.bool_)
    for part in carved:
        remaining[np.asarray(part)] = False
    return np.flatnonzero(remaining)


def _parse(split: str, sizes: Mapping[str, int], name: str) -> Selection:
    selection = [_parse_slice(term, split, sizes, name) for term in split.split("+")]
    if not sum(len(indices) for _, indices in selection):
        raise ValueError(
            f"split: expected at least one example, got none in {split!r} of {name}, which has "
            f"{_sizes(sizes)}. Pass a wider range."
        )
    return selection


def _parse_slice(term: str, split: str, sizes: Mapping[str, int], name: str) -> tuple[str, Indices]:
    match = _SLICE.match(term)
    if match is None:
        raise ValueError(
            f"split: expected a split of {name} ({_sizes(sizes)}), a slice of one, or several joined by '+', "
            f"got {split!r}. Pass for example 'train[:90%]' or 'train[1000:2000]'."
        )
    part, start, stop = match.groups()
    if part not in sizes:
        raise ValueError(
            f"split: {name} has no split {part!r}; it has {_sizes(sizes)}. "
            "Pass one of these, or a slice of one such as 'train[:90%]'."
        )
    first = _boundary(start, 0, sizes[part])
    last = _boundary(stop, sizes[part], sizes[part])
    if max(abs(first), abs(last)) > sizes[part]:
        raise ValueError(
            f"split: expected bounds within the {sizes[part]:,} examples of {part!r} of {name}, got "
            f"{split!r}. Pass smaller bounds, or percentages up to 100%."
        )
    size = sizes[part]
    return part, range(first % size if first < 0 else first, last % size if last < 0 else last)


def _boundary(text: str | None, default: int, size: int) -> int:
    if not text:
        return default
    return round(size * int(text[:-1]) / 100) if text.endswith("%") else int(text)


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{part!r} ({size:,} examples)" for part, size in sizes.items())
