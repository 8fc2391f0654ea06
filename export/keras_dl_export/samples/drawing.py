"""Given or drawn inputs of an endpoint at several sizes, and the model's outputs for them."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl_export.dtypes import numpy_dtype
from keras_dl_export.endpoints import Endpoint
from keras_dl_export.errors import reason_of
from keras_dl_export.names import by_word
from keras_dl_export.results import REAL, UNIFORM
from keras_dl_export.samples.answers import Answers
from keras_dl_export.samples.field_samples import field_samples
from keras_dl_export.samples.references import Sample
from keras_dl_export.samples.usage import Insight
from keras_dl_export.specs import DEFAULT_ENDPOINT, Spec

Examples = ArrayLike | Mapping[str, ArrayLike] | None

_BATCH_SIZES = (1, 3)
_SAME = 1e-4  # tolerance between two ways to compute a number
_DRAWN_FACTORS = (1, 8)  # for models whose windows are larger than the smaller sizes
_DRAWN_LEAST = (0, 1)  # lower bounds of integers: for models that divide by them
_DRAWN_TIME = (5, 8)  # lengths of a dynamic axis if there are no examples
_DRAWN_SIDE = (32, 48)  # sides of an image if there are no examples: multiples of the usual strides


def check_examples(offered: Mapping[str, Endpoint], inputs: Examples) -> dict[str, NDArray[Any]]:
    """Return the examples by input name, each in the shape and dtype of the endpoints."""
    if inputs is None:
        return {}
    if not isinstance(inputs, Mapping):
        endpoint = offered.get(DEFAULT_ENDPOINT) or next(iter(offered.values()))
        if len(endpoint.inputs) != 1:
            raise ValueError(
                f"inputs: expected a dict with arrays for {', '.join(endpoint.inputs)}, got one array."
            )
        inputs = {next(iter(endpoint.inputs)): inputs}
    specs = [(name, spec) for endpoint in offered.values() for name, spec in endpoint.inputs.items()]
    examples = {}
    for name, value in by_word(inputs, {name for name, _ in specs}).items():
        wanted = [spec for known, spec in specs if known == name]
        if not wanted:
            known_names = ", ".join(dict.fromkeys(known for known, _ in specs))
            raise ValueError(f"inputs: expected arrays for {known_names}, got one for {name!r}.")
        for spec in wanted:
            examples[name] = spec.with_free_batch().conform(f"inputs[{name!r}]", value)
            if examples[name].size == 0:
                raise ValueError(
                    f"inputs[{name!r}]: expected at least one example, got shape {np.shape(value)}."
                )
    return examples


def draw_samples(
    name: str,
    endpoint: Endpoint,
    examples: Mapping[str, NDArray[Any]],
    vocabulary: int,
    answers: Answers,
    insight: Insight | None = None,
) -> tuple[Sample, ...]:
    """Run the model at several sizes, different ones for each dynamic axis unless the model needs equal ones.

    The samples with examples come first, then those with drawn inputs only, whose integers stay within the
    range of the examples. A model that runs on the examples but fails on drawn inputs is compared on the
    examples only. If there is an insight, values and sizes that occur in production come last; those at which
    the model fails are omitted.
    """
    given = {key: examples[key] for key in endpoint.inputs if key in examples}

    def draw(
        sizes: Mapping[str, int], seed: int, given: Mapping[str, NDArray[Any]], least: int
    ) -> dict[str, NDArray[Any]]:
        random = np.random.default_rng(seed)
        return {
            key: _take(given[key], spec, sizes, seed)
            if key in given
            else _draw(spec, sizes, random, vocabulary, examples.get(key), least)
            for key, spec in endpoint.inputs.items()
        }

    def ask(
        sizes: Mapping[str, int],
        inputs: dict[str, NDArray[Any]],
        *kinds: str,
        outputs: Iterable[str] | None = None,
    ) -> Sample:
        found = answers(inputs)
        if outputs is not None:
            found = _numbers({name: found[name] for name in outputs}, answers.eagerly(inputs))
        return Sample(sizes, inputs, found, kinds, functools.partial(answers.noise, inputs))

    for factor, least, distinct in itertools.product(_DRAWN_FACTORS, _DRAWN_LEAST, (True, False)):
        try:
            first, second = (_sizes(endpoint.inputs, examples, index, distinct, factor) for index in (0, 1))
            chosen = [(first, 0), (second, _BATCH_SIZES[0])][: 2 if first != second else 1]
            kind = REAL if given else UNIFORM
            samples = [ask(sizes, draw(sizes, start, given, least), kind) for sizes, start in chosen]
        except Exception as error:
            failure = error
            continue
        if given:
            with contextlib.suppress(Exception):
                samples += [ask(sizes, draw(sizes, start, {}, least), UNIFORM) for sizes, start in chosen]
        if insight is not None:
            sizes = {**_sizes(endpoint.inputs, {}, 0, distinct, factor), **(first if given else {})}
            further = functools.partial(draw, seed=2, given={}, least=least)
            samples += field_samples(endpoint.inputs, insight, sizes, further, ask, distinct=distinct)
        return tuple(samples)
    raise ValueError(
        f"endpoint {name!r}: the model itself fails on example inputs: {reason_of(failure)} Pass inputs= "
        "with real examples by input name if the drawn inputs are invalid for it."
    ) from failure


def _numbers(
    outputs: Mapping[str, NDArray[Any]], others: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Return a model's outputs for NaN and infinities, with NaN for elements that cannot be compared.

    An element cannot be compared if it depends on how the model is run: a graph's optimizer may fuse
    operations, after which NaN becomes 0.

    Raises:
        ValueError: no element can be compared.
    """
    found = {}
    for name, array in outputs.items():
        other = others[name]
        if array.dtype.kind in "fV":
            with np.errstate(invalid="ignore"):
                same = (array == other) | (np.abs(array - other) <= _SAME * (1 + np.abs(other)))
            found[name] = np.where(same, array, np.array(np.nan, array.dtype))
        elif not np.array_equal(array, other):
            raise ValueError(f"{name} depends on how it is computed")
        else:
            found[name] = array
    if all(array.dtype.kind in "fV" and not np.isfinite(array).any() for array in found.values()):
        raise ValueError("there are no numbers")
    return found


def draw_inputs(
    inputs: Mapping[str, Spec],
    batch_size: int = 1,
    *,
    vocabulary: int = 2,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
) -> dict[str, NDArray[Any]]:
    """Draw inputs for an endpoint: floats from U(-1, 1), integers below `vocabulary`.

    Args:
        inputs: the endpoint's inputs, as in `Runner.inputs`.
        batch_size: the size of a dynamic batch axis.
        vocabulary: see `Release.smallest_vocabulary`.
        seed: the seed of the generator.
        sizes: dynamic axis -> size; by default small sizes.
    """
    sizes = {**_sizes(inputs, {}, 0, distinct=False), **(sizes or {})}
    sizes.update(
        {spec.shape[0]: batch_size for spec in inputs.values() if spec.shape and spec.shape[0] in sizes}
    )
    random = np.random.default_rng(seed)
    return {name: _draw(spec, sizes, random, vocabulary) for name, spec in inputs.items()}


def _sizes(
    inputs: Mapping[str, Spec],
    examples: Mapping[str, NDArray[Any]],
    index: int,
    distinct: bool,
    factor: int = 1,
) -> dict[str, int]:
    """Choose the size of every dynamic axis for sample `index`."""
    sizes: dict[str, int] = {}
    for key, spec in inputs.items():
        for axis, word in enumerate(spec.shape):
            if not isinstance(word, str) or word in sizes:
                continue
            if axis == 0:
                sizes[word] = _BATCH_SIZES[index]
            elif key in examples:
                full = examples[key].shape[axis]
                sizes[word] = (full + 1) // 2 if index and distinct else full
            elif len(spec.shape) == 4:
                sizes[word] = (_DRAWN_SIDE[index] + 16 * len(sizes) * distinct) * factor
            else:
                sizes[word] = (_DRAWN_TIME[index] + len(sizes) * distinct) * factor
    return sizes


def _take(array: NDArray[Any], spec: Spec, sizes: Mapping[str, int], start: int) -> NDArray[Any]:
    for axis, word in enumerate(spec.shape):
        size = sizes[word] if isinstance(word, str) else word
        first = start if axis == 0 else 0
        array = np.take(array, np.arange(first, first + size) % array.shape[axis], axis=axis)
    return array


def _draw(
    spec: Spec,
    sizes: Mapping[str, int],
    random: np.random.Generator,
    vocabulary: int,
    examples: NDArray[Any] | None = None,
    least: int = 0,
) -> NDArray[Any]:
    shape = tuple(sizes[word] if isinstance(word, str) else word for word in spec.shape)
    if spec.dtype == "string":
        words = np.array([b"deep", b"learning"], object) if examples is None else examples.ravel()
        return random.choice(words, shape)
    dtype = numpy_dtype(spec.dtype)
    if dtype.kind in "iu" and examples is not None:
        return random.integers(examples.min(), examples.max(), shape, dtype, endpoint=True)
    if dtype.kind in "iu":
        return random.integers(least, min(vocabulary, np.iinfo(dtype).max + 1), shape).astype(dtype)
    if dtype.kind == "b":
        return random.random(shape) < 0.5
    return random.uniform(-1.0, 1.0, shape).astype(dtype)
