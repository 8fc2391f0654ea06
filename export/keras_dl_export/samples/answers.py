"""Answers that a file is compared with, and how far rounding alone moves them."""

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
    """Answers that a file's numbers are compared with."""

    @abstractmethod
    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the answers by name."""

    def eagerly(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the answers of eager execution, where that is possible."""
        return self(inputs)

    def noise(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return how much each element of each output may differ by rounding alone.

        It is the largest change over calls in which every float that goes in was moved by two units in the
        last place, as another order of summation moves intermediate numbers. It is NaN where an element
        became finite, or ceased to be.
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
    # Never by the same twice: the changes of two neighbors that a sum takes from each other would cancel out.
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
