"""Examples for classify and regress, built without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_dl_serving.errors import InvalidRequestError

Features = dict[str, list[Any]]


@dataclass(frozen=True)
class Examples:
    """Examples and the features that they share.

    Attributes:
        rows: the features of each example: lists of bytes, of float or of int.
        context: the features of all examples.
    """

    rows: list[Features]
    context: Features | None = None


def examples_of(examples: Any, context: Mapping[str, Any] | None) -> Examples:
    """Return examples as they are sent.

    Args:
        examples: features by name: a number, a string, bytes, or a list or array of one of these kinds.
        context: likewise, for all examples.

    Raises:
        InvalidRequestError: there are no examples, or a feature has values that an example cannot hold.
    """
    if isinstance(examples, Mapping | str | bytes) or not isinstance(examples, Sequence) or not examples:
        advice = ""
        if isinstance(examples, Mapping):
            advice = " Put a single example in a list."
        elif isinstance(examples, bytes):
            advice = " Examples that are serialized already go to predict, as strings."
        raise InvalidRequestError(
            f"examples: expected a list of at least one dict of features, got {examples!r:.80}.{advice}"
        )
    rows = [_features(example, f"example {index}") for index, example in enumerate(examples)]
    return Examples(rows, None if context is None else _features(context, "context"))


def _features(example: Mapping[str, Any], place: str) -> Features:
    if not isinstance(example, Mapping):
        raise InvalidRequestError(
            f"{place}: expected a dict of features, got {example!r:.80}. Name the features."
        )
    for name in example:
        if not isinstance(name, str) or _encoded(name) is None:
            raise InvalidRequestError(f"{place}: expected names of features that are text, got {name!r}.")
    return {name: _values(value, f"{place}, feature {name!r}") for name, value in example.items()}


def _values(value: Any, place: str) -> list[Any]:
    if isinstance(value, np.ndarray | np.generic):
        value = value.ravel().tolist()
    elif not isinstance(value, Sequence) or isinstance(value, str | bytes):
        value = [value]
    kinds = {_kind(each) for each in value}
    if kinds == {int, float}:
        kinds = {float}
    if None in kinds or len(kinds) > 1:
        raise InvalidRequestError(
            f"{place}: expected numbers, or bytes and str, in a flat list, got {value!r:.80}. "
            "Pass values of one kind."
        )
    if kinds == {bytes}:
        encoded = [_encoded(each) for each in value]
        if None in encoded:
            raise InvalidRequestError(f"{place}: expected text, got half a surrogate pair in {value!r:.80}.")
        return encoded
    values = [float(each) if kinds == {float} else int(each) for each in value]
    if any(isinstance(each, int) and not -(2**63) <= each < 2**63 for each in values):
        raise InvalidRequestError(f"{place}: expected integers of 64 bits, got {value!r:.80}. Pass floats.")
    return values


def _encoded(value: str | bytes) -> bytes | None:
    try:
        return value.encode() if isinstance(value, str) else value
    except UnicodeEncodeError:
        return None


def _kind(value: Any) -> type | None:
    if isinstance(value, str | bytes):
        return bytes
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return int
    return float if isinstance(value, float | np.floating) else None
