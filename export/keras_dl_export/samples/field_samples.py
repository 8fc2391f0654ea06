"""Cases with values and sizes that occur in production, if the model supports them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.dtypes import numpy_dtype
from keras_dl_export.samples.sample_kinds import (
    LARGE,
    NON_FINITE,
    WILD_INTEGERS,
    ZEROS,
    filled,
    large,
    non_finite,
    size_variants,
    wild_integers,
)
from keras_dl_export.samples.usage import Insight
from keras_dl_export.specs import Spec

Arrays = dict[str, NDArray[Any]]
_Sample = TypeVar("_Sample")

_ROWS = (LARGE, LARGE, ZEROS)  # in one batch: a call costs more than an example
_MOST_FILLINGS = 4
_UNBOUNDED, _HUGE = (np.inf, -np.inf), (1e30, -1e30)  # the latter are also used as missing values


def field_samples(
    inputs: Mapping[str, Spec],
    insight: Insight,
    sizes: Mapping[str, int],
    draw: Callable[[Mapping[str, int]], Arrays],
    ask: Callable[..., _Sample],
    *,
    distinct: bool,
) -> Iterator[_Sample]:
    """Yield a sample for each of these inputs on which the model runs.

    Args:
        inputs: the endpoint's inputs.
        insight: how the endpoint uses them.
        sizes: dynamic axis -> a size that the model supports.
        draw: draws inputs of given sizes for which the model returns numbers.
        ask: makes a sample from sizes, inputs and kinds; raises if the model fails.
        distinct: whether dynamic axes of several inputs may differ.
    """
    batch = _batch_axis(inputs)
    wide = {**sizes, **({batch: len(_ROWS)} if batch else {})}

    def attempt(sizes: Mapping[str, int], changed: Arrays, *kinds: str, **options: Any) -> Iterator[_Sample]:
        with contextlib.suppress(Exception):  # without the model's outputs there is nothing to compare
            yield ask(sizes, {**draw(sizes), **changed}, *kinds, **options)

    def answered(changed: Arrays) -> bool:
        with contextlib.suppress(Exception):
            ask(wide, {**draw(wide), **changed})
            return True
        return False

    for kinds, changed in _large(inputs, draw(wide)):
        yield from attempt(wide, changed, *kinds)
    for changed, outputs in _non_finite(insight, draw(wide)):
        yield from attempt(wide, changed, NON_FINITE, outputs=outputs)
    for kind in WILD_INTEGERS:
        for changed in _wild(kind, inputs, insight, draw(wide), answered):
            yield from attempt(wide, changed, kind)
    variants = size_variants(inputs, wide, insight.windows, equal=not distinct, large_model=insight.large)
    for kind, variant in variants:
        yield from attempt(variant, {}, kind)


def _batch_axis(inputs: Mapping[str, Spec]) -> str | None:
    words = (spec.shape[0] for spec in inputs.values() if spec.shape)
    return next((word for word in words if isinstance(word, str)), None)


def _large(inputs: Mapping[str, Spec], drawn: Arrays) -> Iterator[tuple[tuple[str, ...], Arrays]]:
    """Yield large values and zeros for all floating inputs together."""
    floats = [name for name, array in drawn.items() if array.dtype.kind == "f"]
    if not floats:
        return
    examples = min((len(drawn[name]) for name in floats if drawn[name].ndim), default=1)
    batches = [_ROWS] if examples >= len(_ROWS) else [_ROWS[:1], _ROWS[1:2], _ROWS[2:]]
    for place, batch in enumerate(batches):
        changed = {}
        for name in floats:
            values = large(drawn[name].shape, drawn[name].dtype, np.random.default_rng(place))
            values = np.asarray(values * (-1.0 if place % 2 else 1.0), values.dtype)
            if values.ndim:
                for row in range(len(values)):
                    if batch[row % len(batch)] == ZEROS:
                        values[row] = 0.0
            elif batch[0] == ZEROS:
                values = np.zeros_like(values)
            changed[name] = values
        yield tuple(dict.fromkeys(batch)), changed


def _non_finite(insight: Insight, drawn: Arrays) -> Iterator[tuple[Arrays, frozenset[str]]]:
    """Yield infinities and NaN in one input at a time, each with the outputs that can be compared."""
    for name, usage in insight.inputs.items():
        if name not in drawn or drawn[name].dtype.kind != "f":
            continue
        examples = len(drawn[name]) if drawn[name].ndim else 1
        if usage.infinity_outputs:
            for values in (_UNBOUNDED, _HUGE) if examples > 1 else [(value,) for value in _UNBOUNDED + _HUGE]:
                yield {name: non_finite(drawn[name], values)}, usage.infinity_outputs
        if usage.nan_outputs:
            yield {name: non_finite(drawn[name], (np.nan,))}, usage.nan_outputs


def _wild(
    kind: str,
    inputs: Mapping[str, Spec],
    insight: Insight,
    drawn: Arrays,
    answered: Callable[[Arrays], bool],
) -> Iterator[Arrays]:
    """Yield integers of a kind for all inputs for which the model supports them.

    A small input is filled several times with further values. Two inputs differ in every position; otherwise
    a file that compares or divides them wrongly would agree.
    """
    suited: dict[str, list[int]] = {}
    for name, spec in inputs.items():
        known = insight.inputs.get(name)
        if spec.dtype == "string" or numpy_dtype(spec.dtype).kind not in "iu":
            continue
        if known is None or known.sizes or known.looks_up:
            continue
        if pool := wild_integers(kind, drawn[name].dtype, insight.constants):
            suited[name] = pool

    def fill(names: Iterable[str], time: int) -> Arrays:
        return {
            name: filled(pool, drawn[name].shape, drawn[name].dtype, time * drawn[name].size + place)
            for place, (name, pool) in enumerate(suited.items())
            if name in names
        }

    names = list(suited)
    if names and not answered(fill(names, 0)):  # the model may divide by zero
        suited = {name: [value for value in pool if value] for name, pool in suited.items()}
    if names and not answered(fill(names, 0)):  # some values may be out of range
        names = [name for name in names if len(suited) > 1 and answered(fill([name], 0))]
    if names:
        times = max(-(-len(suited[name]) // max(drawn[name].size, 1)) for name in names)
        for time in range(min(times, _MOST_FILLINGS)):
            yield fill(names, time)
