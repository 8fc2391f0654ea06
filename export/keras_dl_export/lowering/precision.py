"""Models of 16-bit floats, traced for a target that computes in 32."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_dl_export.lowering.patching import patched

_NARROW = ("float16", "bfloat16")


@contextlib.contextmanager
def in_float32() -> Iterator[set[str]]:
    """Make every layer compute in float32; its weights are cast as they are used.

    Yields:
        The 16-bit dtypes that the layers would have computed in.
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
