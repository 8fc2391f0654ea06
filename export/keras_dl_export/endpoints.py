"""What a model offers to the outside: named functions over named, typed inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spec:
    """Shape and dtype of one named input.

    Attributes:
        shape: one entry an axis; an int where the size is fixed, a name where it is dynamic, for example
            ``("batch", 28, 28, 1)`` or ``("batch", "text_time")``. Equal names mean equal sizes.
        dtype: a NumPy dtype name such as ``"float32"``, or ``"string"``.
    """

    shape: tuple[int | str, ...]
    dtype: str


@dataclass(frozen=True)
class Endpoint:
    """A plain function of named tensors, and the inputs it takes.

    Attributes:
        function: called with one keyword argument per input; runs with ``training=False`` and returns a dict
            of named tensors. It is traced afresh for every target.
        inputs: the inputs by name, in order.
    """

    function: Callable[..., Mapping[str, Any]]
    inputs: Mapping[str, Spec]
