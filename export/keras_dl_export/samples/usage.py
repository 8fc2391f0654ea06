"""How an endpoint uses each of its inputs; it determines the sample values for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """The use of one input.

    Attributes:
        sizes: whether its values determine the size of a tensor, or the steps of a loop.
        looks_up: whether its values are used as indices, for example of an embedding, without clipping.
        infinity_outputs: the outputs that its infinities, or a test for them, reach before they are summed.
        nan_outputs: the outputs that depend on a comparison with its NaN.
    """

    sizes: bool = False
    looks_up: bool = False
    infinity_outputs: frozenset[str] = frozenset()
    nan_outputs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Insight:
    """Properties of a traced endpoint, read from its graph.

    Attributes:
        inputs: input -> its use.
        constants: the absolute values of the integers in its graph, such as limits and divisors.
        windows: height and width of its layers' crops and windows; see `sample_kinds.window_sizes`.
        large: whether it has so many operations that tracing it for another size is slow.
    """

    inputs: Mapping[str, Usage]
    constants: Sequence[int] = ()
    windows: Sequence[tuple[int, int]] = ()
    large: bool = False
