"""Arrays of numbers from JSON without a list for every row: the one case that has to be fast.

simdjson writes the numbers into one buffer, and the brackets and commas are compared with those of a regular
array. Everything else (objects, strings, ragged lists, errors) is left to the parser that reads value by
value.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

_HEAD = re.compile(
    rb'\s*\{\s*(?:"signature_name"\s*:\s*"(\w*)"\s*,\s*)?"(instances|inputs)"\s*:\s*(?=\[)', re.ASCII
)
_TAIL = re.compile(rb"\s*\}\s*\Z")
_OPENING = re.compile(rb"[\[\s]*")
_NO_NUMBERS = (b'"', b"{", b"n", b"t", b"f")  # strings, objects, null, true, false
_VALUES = bytes(set(range(256)) - set(b"[],"))
_MAX_RANK = 64  # NumPy's
_SMALL = 2**10  # bytes: below, plain parsing is faster


@dataclass(frozen=True, eq=False)
class FlatArray:
    """A request for a single input.

    Attributes:
        signature_name: empty if the request has none.
        key: the key of the array in the document.
        text: the JSON of the array.
        floats: the numbers in order.
        shape: the shape of the array.
    """

    signature_name: str
    key: Literal["instances", "inputs"]
    text: bytes
    floats: NDArray[np.float64]
    shape: tuple[int, ...]

    def numbers(self) -> list[int | float]:
        """Return the numbers, whole ones as integers."""
        numbers: list[int | float] = orjson.loads(
            b"[" + self.text.replace(b"[", b" ").replace(b"]", b" ") + b"]"
        )
        return numbers


def parse_flat(body: bytes) -> FlatArray | None:
    """Return the array of a body that is an object with one array of numbers; None for any other body."""
    if len(body) < _SMALL:
        return None
    head = _HEAD.match(body)
    end = body.rfind(b"]") + 1
    if not head or not _TAIL.match(body, end):
        return None
    text = body[head.end() : end]
    if any(mark in text for mark in _NO_NUMBERS):
        return None
    shape = _shape(text)
    if not shape:
        return None
    try:
        array: Any = simdjson.Parser().parse(text)
        floats = np.frombuffer(array.as_buffer(of_type="d"))
    except (ValueError, RuntimeError):  # invalid JSON, or a number that is too large
        return None
    if len(floats) != math.prod(shape):  # an empty list
        return None
    key: Literal["instances", "inputs"] = "instances" if head[2] == b"instances" else "inputs"
    return FlatArray((head[1] or b"").decode(), key, text, floats, shape)


def _shape(text: bytes) -> tuple[int, ...]:
    """Return the shape of nested lists; empty if they are irregular or have no values."""
    skeleton = text.translate(None, _VALUES)
    opening = _OPENING.match(text)
    rank = opening[0].count(b"[") if opening else 0
    if rank > _MAX_RANK:
        return ()
    # The first list of every level, from the innermost on, has one comma less than values.
    ends = [skeleton.find(b"]" * depth) for depth in range(1, rank + 1)]
    if -1 in ends:
        return ()
    sizes = [1, *(skeleton.count(b",", 0, end) + 1 for end in ends)]
    shape = [outer // inner for outer, inner in zip(sizes[:0:-1], sizes[-2::-1], strict=True)]
    regular = b","
    for level, size in enumerate(reversed(shape)):
        regular = b"[" + (b"," * (size - 1) if level == 0 else b",".join([regular] * size)) + b"]"
    return tuple(shape) if skeleton == regular else ()
