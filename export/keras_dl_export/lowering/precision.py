"""Models of 16-bit floats, traced for a target that computes in 32."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import keras

_one_at_a_time = threading.RLock()
_NARROW = ("float16", "bfloat16")


@contextlib.contextmanager
def in_float32() -> Iterator[set[str]]:
    """Let every layer compute in float32, in this thread alone; its weights are cast as they are used.

    Yields:
        The 16-bit dtypes that the layers would have computed in.
    """
    kept = keras.DTypePolicy.compute_dtype
    thread = threading.get_ident()
    met: set[str] = set()

    def compute_dtype(policy: Any) -> Any:
        dtype = kept.fget(policy)
        if dtype not in _NARROW or threading.get_ident() != thread:
            return dtype
        met.add(dtype)
        return "float32"

    with _one_at_a_time:
        keras.DTypePolicy.compute_dtype = property(compute_dtype, doc=kept.__doc__)
        try:
            yield met
        finally:
            keras.DTypePolicy.compute_dtype = kept
