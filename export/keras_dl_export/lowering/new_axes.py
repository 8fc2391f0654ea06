"""`x[..., None]` as `expand_dims`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from keras_dl_export.lowering.patching import patched

_WHOLE = slice(None)


@contextlib.contextmanager
def plain_new_axes() -> Iterator[None]:
    """Trace an index that only adds axes as `expand_dims`.

    TensorFlow traces a StridedSlice, which TFLite does not support if other axes are dynamic.
    """

    def replace(kept: Callable[..., Any]) -> Callable[..., Any]:
        def getitem(tensor: Any, key: Any) -> Any:
            keys = key if isinstance(key, tuple) else (key,)
            if tensor.shape.rank is None or not _adds_axes(keys):
                return kept(tensor, key)
            sliced = len(keys) - sum(k is None or k is Ellipsis for k in keys)
            if Ellipsis in keys:
                at = keys.index(Ellipsis)
                keys = (*keys[:at], *[_WHOLE] * (tensor.shape.rank - sliced), *keys[at + 1 :])
            for axis, k in enumerate(keys):
                tensor = tf.expand_dims(tensor, axis) if k is None else tensor
            return tensor

        return getitem

    with patched(tf.Tensor, "__getitem__", replace):
        yield


def _adds_axes(keys: tuple[Any, ...]) -> bool:
    plain = all(k is None or k is Ellipsis or (isinstance(k, slice) and k == _WHOLE) for k in keys)
    return plain and None in keys and keys.count(Ellipsis) <= 1
