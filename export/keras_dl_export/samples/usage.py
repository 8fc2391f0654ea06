"""The use that an endpoint makes of each input, which decides on the values to try there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """The use of one input.

    Attributes:
        sizes: whether its values decide on how large a tensor is, or how often a loop runs.
        looks_up: whether its values are indices, of an embedding for example, as they come.
        infinity_outputs: those that infinities in it reach, or a test for them, before they are summed.
        nan_outputs: those that depend on a comparison with a NaN in it.
    """

    sizes: bool = False
    looks_up: bool = False
    infinity_outputs: frozenset[str] = frozenset()
    nan_outputs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Insight:
    """The result of analyzing a traced endpoint.

    Attributes:
        inputs: what becomes of each input.
        constants: the integers in its graph, without their signs: limits, divisors and the like.
        windows: height and width of its layers' crops and windows; see `sample_kinds.window_sizes`.
        large: whether it has so many operations that tracing it for another size takes long.
    """

    inputs: Mapping[str, Usage]
    constants: Sequence[int] = ()
    windows: Sequence[tuple[int, int]] = ()
    large: bool = False
