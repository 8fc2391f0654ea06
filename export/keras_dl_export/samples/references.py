"""Sample inputs of an endpoint with the model's outputs, the reference for every written file."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from numpy.typing import NDArray

from keras_dl_export.results import REAL, UNIFORM
from keras_dl_export.specs import Spec


@dataclass(frozen=True, eq=False)  # samples are compared by identity: arrays have no one answer to ==
class Sample:
    """Inputs and the model's outputs for them.

    Attributes:
        sizes: the size of every dynamic axis, by its name.
        inputs: the input arrays by name.
        outputs: the output arrays by name; for non-finite inputs, only those that can be compared.
        kinds: the kinds of the samples, of `sample_kinds`.
        noise: returns the change of each element of each output by rounding alone; see `Predictor.noise`.
    """

    sizes: Mapping[str, int]
    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]
    kinds: tuple[str, ...] = (UNIFORM,)
    noise: Callable[[], Mapping[str, NDArray[Any]]] | None = field(default=None, repr=False, compare=False)

    @property
    def real(self) -> bool:
        """Whether the inputs include given examples."""
        return REAL in self.kinds

    @property
    def plain(self) -> bool:
        """Whether the inputs are given examples, or drawn from a range in which a model returns numbers."""
        return self.real or UNIFORM in self.kinds


@dataclass(frozen=True)
class Reference:
    """The expected outputs of every file with an endpoint.

    Attributes:
        name: the endpoint's name.
        inputs: the inputs by name.
        outputs: the outputs by name.
        samples: inputs and expected outputs, at several sizes of every dynamic axis.
        precision: the coarsest floating dtype in the model, which determines the tolerance.
    """

    name: str
    inputs: Mapping[str, Spec]
    outputs: Mapping[str, Spec]
    samples: tuple[Sample, ...] = field(repr=False)
    precision: str


_Reference = TypeVar("_Reference", bound=Reference)


def with_one_example(reference: _Reference) -> _Reference:
    """Return the reference of a file with a fixed batch of one; the sizes of other axes remain."""

    def fix(specs: Mapping[str, Spec]) -> dict[str, Spec]:
        return {
            name: Spec((1, *spec.shape[1:]), spec.dtype) if spec.shape[:1] == ("batch",) else spec
            for name, spec in specs.items()
        }

    def one(
        arrays: Mapping[str, NDArray[Any]], specs: Mapping[str, Spec], row: int
    ) -> dict[str, NDArray[Any]]:
        return {
            name: array[row : row + 1] if specs[name].shape[:1] == ("batch",) else array
            for name, array in arrays.items()
        }

    def split(sample: Sample) -> Iterator[Sample]:
        """Yield the first example, or all examples if they differ in kind."""

        def noise(row: int) -> Mapping[str, NDArray[Any]]:
            return one(sample.noise() if sample.noise else {}, reference.outputs, row)

        for row in range(1 if sample.plain else sample.sizes.get("batch", 1)):
            yield Sample(
                {word: size for word, size in sample.sizes.items() if word != "batch"},
                one(sample.inputs, reference.inputs, row),
                one(sample.outputs, reference.outputs, row),
                sample.kinds,
                functools.partial(noise, row),
            )

    return dataclasses.replace(
        reference,
        inputs=fix(reference.inputs),
        outputs=fix(reference.outputs),
        samples=tuple(single for sample in reference.samples for single in split(sample)),
    )
