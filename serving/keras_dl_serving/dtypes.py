"""Tensor dtypes: TensorFlow's number and name, NumPy's dtype, and the field that holds typed values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class DType:
    """One dtype.

    Attributes:
        number: TensorFlow's `DataType`.
        name: NumPy's name, or `"string"`; the one users read.
        tensorflow: TensorFlow's name, used in its error texts.
        field: the repeated field of `TensorProto` that holds such values one by one.
    """

    number: int
    name: str
    tensorflow: str
    field: str

    @cached_property
    def numpy(self) -> np.dtype[Any]:
        """The dtype of arrays: `object` (of `bytes`) for strings."""
        if self.name == "string":
            return np.dtype(object)
        if self.name == "bfloat16":
            import ml_dtypes

            bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
            return bfloat16
        dtype: np.dtype[Any] = np.dtype(self.name)
        return dtype


_DTYPES = (
    DType(1, "float32", "float", "float_val"),
    DType(2, "float64", "double", "double_val"),
    DType(3, "int32", "int32", "int_val"),
    DType(4, "uint8", "uint8", "int_val"),
    DType(5, "int16", "int16", "int_val"),
    DType(6, "int8", "int8", "int_val"),
    DType(7, "string", "string", "string_val"),
    DType(8, "complex64", "complex64", "scomplex_val"),
    DType(9, "int64", "int64", "int64_val"),
    DType(10, "bool", "bool", "bool_val"),
    DType(14, "bfloat16", "bfloat16", "half_val"),
    DType(17, "uint16", "uint16", "int_val"),
    DType(18, "complex128", "complex128", "dcomplex_val"),
    DType(19, "float16", "half", "half_val"),
    DType(22, "uint32", "uint32", "uint32_val"),
    DType(23, "uint64", "uint64", "uint64_val"),
)

_BY_NUMBER = {dtype.number: dtype for dtype in _DTYPES}
_BY_ENUM_NAME = {f"DT_{dtype.tensorflow.upper()}": dtype for dtype in _DTYPES}
_BY_NAME = {dtype.name: dtype for dtype in _DTYPES}


def by_number(number: int) -> DType:
    """The dtype with TensorFlow's number.

    Raises:
        LookupError: it has none that arrays can hold (resources, variants, quantised types).
    """
    try:
        return _BY_NUMBER[number]
    except KeyError:
        raise LookupError(f"tensors of TensorFlow's dtype number {number} cannot be sent") from None


def by_enum_name(name: str) -> DType:
    """The dtype with the name that TensorFlow's `DataType` gives its number, such as `DT_FLOAT`.

    Raises:
        LookupError: as `by_number`.
    """
    try:
        return _BY_ENUM_NAME[name]
    except KeyError:
        raise LookupError(f"tensors of TensorFlow's dtype {name} cannot be sent") from None


def by_name(name: str) -> DType:
    """The dtype with this name."""
    return _BY_NAME[name]


def of_array(array: Array) -> DType:
    """The dtype of an array; objects, bytes and str arrays are strings.

    Raises:
        LookupError: no tensor has such values.
    """
    return _of_numpy(array.dtype)


@cache
def _of_numpy(dtype: np.dtype[Any]) -> DType:
    if dtype.kind in "OSU":
        return _BY_NAME["string"]
    try:
        return _BY_NAME[dtype.name]
    except KeyError:
        raise LookupError(f"arrays of dtype {dtype} cannot be sent") from None
