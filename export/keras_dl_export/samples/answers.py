"""Reference outputs of a comparison, and their change by rounding alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

ROUNDING = 2.0**-22  # two units in the last place of float32
_ATTEMPTS = 3


class Answers(ABC):
    """The reference outputs for a file."""

    @abstractmethod
    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the outputs by name."""

    def eagerly(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the outputs of an eager run, if there is one."""
        return self(inputs)

    def noise(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the possible difference of each element of each output by rounding alone.

        This is the largest change over calls in which every input float is moved by two units in the last
        place, the effect of another order of summation. It is NaN for an element that is finite in only one
        of the calls.
        """
        answers = self(inputs)
        largest = {name: np.zeros(array.shape) for name, array in answers.items()}
        for seed in range(_ATTEMPTS):
            random = np.random.default_rng(seed)
            others = self._rounded({name: _moved(array, random) for name, array in inputs.items()}, seed)
            for name, array in answers.items():
                largest[name] = np.maximum(largest[name], _difference(array, others[name]))
        return largest

    def _rounded(self, inputs: Arrays, seed: int) -> dict[str, NDArray[Any]]:
        return self(inputs)


def _moved(array: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
    if array.dtype.kind != "f":
        return array
    # Random amounts: equal changes of two neighbors would cancel in a difference.
    change = random.choice((-1.0, 1.0), array.shape) * random.uniform(0.5, 1.0, array.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        moved = array * (1.0 + ROUNDING * change)
    return np.asarray(moved, array.dtype)


def _difference(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    if first.dtype.kind in "SUO" or first.shape != second.shape:
        return np.zeros(first.shape) if first.shape == second.shape else np.full(first.shape, np.nan)
    one, other = first.astype(np.float64), second.astype(np.float64)
    with np.errstate(invalid="ignore"):
        found = np.asarray(np.abs(one - other))
    found[(one == other) | (np.isnan(one) & np.isnan(other))] = 0.0
    found[~np.isfinite(found)] = np.nan
    return found
