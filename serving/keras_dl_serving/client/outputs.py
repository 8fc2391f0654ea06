"""Outputs in JSON, read by a signature."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from keras_dl_export.dtypes import Array, kind_of, lost_value, numpy_dtype
from keras_dl_serving.client.transport import StaleSignature
from keras_dl_serving.protocol.signatures import TensorSpec

# By the kind of a dtype, the kinds of arrays that NumPy may read from its JSON. Servers other than TensorFlow
# Serving write whole floats as integers.
_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}


def read(name: str, value: Any, spec: TensorSpec) -> Array:
    """Return the array in a value of JSON.

    Raises:
        StaleSignature: it is not an array, or has another dtype, which NumPy would silently cast.
    """
    try:
        array = _strings(value) if spec.dtype == "string" else _numbers(value, spec.dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise StaleSignature(f"{name!r} is no {spec.dtype} array: {error}") from error
    if array.size == 0 and spec.shape is not None and array.ndim < len(spec.shape):
        # JSON's [] does not have the sizes of the axes after an empty one.
        array = array.reshape(array.shape + tuple(size or 0 for size in spec.shape[array.ndim :]))
    return array


def _numbers(value: Any, name: str) -> Array:
    dtype = numpy_dtype(name)
    found = np.asarray(value)
    kind = kind_of(dtype)
    if found.size == 0:
        return found.astype(dtype)
    if kind == "u" and found.dtype.kind in "fO":  # NumPy's choice for integers beyond 2**63
        found = np.asarray(value, object)
        if not all(type(each) is int for each in found.ravel().tolist()):
            raise TypeError("it has other values than integers")
    elif found.dtype.kind not in _KINDS[kind]:
        raise TypeError(f"it has values of {found.dtype}")
    if kind in "iu":
        return np.asarray(value, dtype)  # refuses a number that is too large
    array = found.astype(dtype)
    if found.dtype.kind in "iu" and lost_value(found, array) is not None:
        raise TypeError("it has integers that this float does not hold")
    return array


def _strings(value: Any) -> Array:
    # Objects with b64 stay whole in an object array; the result is bytes, as over gRPC.
    array = np.array(value, object)
    strings = np.empty(array.shape, object)
    strings.ravel()[:] = [_bytes(each) for each in array.ravel().tolist()]
    return strings


def _bytes(value: Any) -> bytes:
    if isinstance(value, dict) and isinstance(value.get("b64"), str):
        return base64.b64decode(value["b64"])
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    raise TypeError(f"it has a {type(value).__name__}")
