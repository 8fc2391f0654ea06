"""Models of 16-bit floats, traced for a target that computes in float32."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_dl_export.lowering.patching import patched

_NARROW = ("float16", "bfloat16")


@contextlib.contextmanager
def in_float32() -> Iterator[set[str]]:
    """Let every layer compute in float32, in this thread only; its weights are cast when they are used.

    Yields:
        The 16-bit dtypes of the layers' policies.
    """
    met: set[str] = set()

    def replace(kept: property) -> Callable[..., Any]:
        def compute_dtype(policy: Any) -> Any:
            dtype = kept.__get__(policy)
            if dtype not in _NARROW:
                return dtype
            met.add(dtype)
            return "float32"

        return compute_dtype

    with patched(keras.DTypePolicy, "compute_dtype", replace):
        yield met
