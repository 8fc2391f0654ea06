"""The dtypes of tensors, and the one rule by which a value becomes an array of a wanted dtype and shape.

NumPy is all that this module imports. Local runners, the client and the exporter's own arguments follow
the rule: the shape must fit, and a cast may lose digits of a floating number, but never its size and never a
whole number.

| from | to floats | to integers | to bool |
|---|---|---|---|
| floats | unless a finite one would become infinite | no, whole ones neither | no |
| integers | if each is exact there | if each is in range | no |
| bool | no | no | yes |
| text or bytes | no | no | no |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_IRREGULAR = "lists of different lengths. Pad them to one length."
_DENSE = {"RaggedTensor": "value.to_tensor()", "SparseTensor": "tf.sparse.to_dense(value)"}
_CASTS = {"f": "fiu", "i": "iu", "u": "iu", "c": "cfiu", "b": "b"}  # the kinds that may become each kind


def conform(label: str, value: Any, dtype: str, shape: Sequence[int | str] | None) -> Array:
    """Return `value` as an array of this dtype and shape.

    Args:
        label: what the error calls the value, such as `inputs['image']`.
        value: anything NumPy reads.
        dtype: a NumPy dtype name, or `"string"`: an array of `str` and `bytes` objects comes out then.
        shape: a name stands for any size; None for any shape.

    Raises:
        TypeError: the dtype does not fit, or a cast would change a value.
        ValueError: the shape does not fit.
    """
    if dtype == "string":
        array = _strings(label, value)
    else:
        array = _cast(label, _numbers(label, value, dtype), numpy_dtype(dtype))
    if shape is not None and not _fits(array.shape, shape):
        raise ValueError(
            f"{label}: expected shape {format_shape(shape)}, got {format_shape(array.shape)}."
            f"{_axis_to_add(label, array.shape, shape)}"
        )
    return array


def format_shape(shape: Sequence[int | str]) -> str:
    """Write a shape as `(batch, 28, 28, 1)`."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return the NumPy dtype of a Spec's dtype name; strings are objects."""
    scalar: Any = object if name == "string" else name
    if name == "bfloat16":
        import ml_dtypes

        scalar = ml_dtypes.bfloat16
    dtype: np.dtype[Any] = np.dtype(scalar)
    return dtype


def as_array(label: str, value: Any, dtype: Any = None) -> Array:
    """Return what NumPy reads in a value.

    Raises:
        ValueError: NumPy cannot read it.
        TypeError: it is a ragged or sparse tensor.
    """
    kind = type(value).__name__
    if kind in _DENSE:
        raise TypeError(f"{label}: expected a dense array, got a {kind}. Pass {_DENSE[kind]}.")
    try:
        array: Array = np.asarray(value, dtype)
    except Exception as error:
        got = _IRREGULAR if isinstance(value, list | tuple) else f"{kind}, which NumPy cannot read: {error}."
        raise ValueError(f"{label}: expected a regular array, got {got}") from error
    return array


def encode(text: str | bytes) -> bytes:
    """Return text as the bytes that a string tensor holds."""
    return text.encode() if isinstance(text, str) else bytes(text)


def _fits(sizes: Sequence[int], shape: Sequence[int | str]) -> bool:
    return len(sizes) == len(shape) and all(
        isinstance(wanted, str) or wanted == size for wanted, size in zip(shape, sizes, strict=True)
    )


def _axis_to_add(label: str, sizes: Sequence[int], shape: Sequence[int | str]) -> str:
    if shape and _fits(sizes, shape[1:]):
        return f" Add the first axis: {label}[None]." if sizes else " Put it in a list."
    if shape and shape[-1] == 1 and _fits(sizes, shape[:-1]):
        return f" Add the last axis: {label}[..., None]."
    return ""


def _numbers(label: str, value: Any, dtype: str) -> Array:
    """Return what NumPy reads in `value`, if these are numbers."""
    array = as_array(label, value)
    if array.dtype.kind != "O":
        return array
    first = array.flat[0] if array.size else []
    got, advice = f"values of type {type(first).__name__}", "Convert each to a number first."
    if value is None:
        got = "None"
    elif isinstance(first, int):
        got, advice = "a whole number of more than 64 bits", "Scale it down first."
    raise TypeError(f"{label}: expected dtype {dtype}, got {got}. {advice}")


def _strings(label: str, value: Any) -> Array:
    array = as_array(label, value, object)
    for text in array.flat:
        if isinstance(text, list | tuple):
            raise ValueError(f"{label}: expected a regular array of text, got {_IRREGULAR}")
        if not isinstance(text, str | bytes):
            raise TypeError(
                f"{label}: expected dtype string, that is str or bytes, got {text!r:.40} of type "
                f"{type(text).__name__}. Write numbers out as text."
            )
        try:
            encode(text)
        except UnicodeEncodeError:
            raise TypeError(
                f"{label}: expected dtype string, got half a surrogate pair in {text!r:.80}. Pass bytes."
            ) from None
    return array


def _cast(label: str, array: Array, dtype: np.dtype[Any]) -> Array:
    if array.dtype == dtype:
        return array
    kind, wanted = kind_of(array.dtype), kind_of(dtype)
    if array.size == 0 and kind == "f":  # NumPy's dtype for []
        return array.astype(dtype)
    got, advice = str(array.dtype), f"Convert it yourself, for example with .astype({dtype.name!r})."
    if kind not in _CASTS[wanted]:
        if kind in "SU":
            advice = "Decode it first: an image, for example, with Pillow, and pass the array."
        raise TypeError(f"{label}: expected dtype {dtype}, got {got}. {advice}")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(dtype)
    lost = lost_value(array, cast)
    if lost is not None:
        raise TypeError(
            f"{label}: expected dtype {dtype}, got {got} with {array[lost]}, a value that {dtype} does not "
            f"hold. {advice}"
        )
    return cast


def lost_value(array: Array, cast: Array) -> tuple[int, ...] | None:
    """Return the index of a value that a cast did not keep (its size, or a whole number), or None."""
    if kind_of(array.dtype) in "fc":
        lost = np.isfinite(array) & ~np.isfinite(cast)
    elif kind_of(cast.dtype) in "iu":
        limits = np.iinfo(cast.dtype)
        if not array.size or (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
            return None
        lost = (array < limits.min) | (array > limits.max)
    else:
        digits = _significand(cast.real.dtype)
        if not array.size or max(-int(array.min()), int(array.max())) <= 2**digits:
            return None
        size = np.abs(array).astype(np.uint64)  # of the least int64, too: NumPy wraps it to itself
        odd = size // np.maximum(size & (~size + np.uint64(1)), np.uint64(1))
        lost = (odd >= 2**digits) | ~np.isfinite(cast.real)
    return tuple(int(index) for index in np.argwhere(lost)[0]) if lost.any() else None


def _significand(dtype: np.dtype[Any]) -> int:
    """Return up to how many bits of a whole number a floating dtype keeps."""
    if dtype.name == "bfloat16":
        return 8
    return int(np.finfo(dtype).nmant) + 1


def kind_of(dtype: np.dtype[Any]) -> str:
    """Return NumPy's letter for the kind of a dtype; bfloat16, which NumPy lacks, is a float."""
    return "f" if dtype.name == "bfloat16" else dtype.kind


@dataclass(frozen=True)
class DType:
    """A dtype of tensors that can be sent.

    Attributes:
        number: its number in TensorFlow's `DataType`.
        name: NumPy's name, or `"string"`.
        tensorflow: TensorFlow's name, which its error texts use.
    """

    number: int
    name: str
    tensorflow: str

    @cached_property
    def numpy(self) -> np.dtype[Any]:
        """The dtype of arrays; strings are objects (`bytes`)."""
        return numpy_dtype(self.name)


_DTYPES = (
    DType(1, "float32", "float"),
    DType(2, "float64", "double"),
    DType(3, "int32", "int32"),
    DType(4, "uint8", "uint8"),
    DType(5, "int16", "int16"),
    DType(6, "int8", "int8"),
    DType(7, "string", "string"),
    DType(8, "complex64", "complex64"),
    DType(9, "int64", "int64"),
    DType(10, "bool", "bool"),
    DType(14, "bfloat16", "bfloat16"),
    DType(17, "uint16", "uint16"),
    DType(18, "complex128", "complex128"),
    DType(19, "float16", "half"),
    DType(22, "uint32", "uint32"),
    DType(23, "uint64", "uint64"),
)

_BY_NUMBER = {dtype.number: dtype for dtype in _DTYPES}
_BY_ENUM_NAME = {f"DT_{dtype.tensorflow.upper()}": dtype for dtype in _DTYPES}
_BY_NAME = {dtype.name: dtype for dtype in _DTYPES}


def by_number(number: int) -> DType:
    """Return the dtype with TensorFlow's number.

    Raises:
        LookupError: no array can hold it (resources, variants, quantized types).
    """
    try:
        return _BY_NUMBER[number]
    except KeyError:
        raise LookupError(f"tensors of TensorFlow's dtype number {number} cannot be sent") from None


def by_enum_name(name: str) -> DType:
    """Return the dtype with the name that TensorFlow's `DataType` gives its number, such as `DT_FLOAT`.

    Raises:
        LookupError: no array can hold it.
    """
    try:
        return _BY_ENUM_NAME[name]
    except KeyError:
        raise LookupError(f"tensors of TensorFlow's dtype {name} cannot be sent") from None


def by_name(name: str) -> DType:
    """Return the dtype with this name."""
    return _BY_NAME[name]


def of_array(array: Array) -> DType:
    """Return the dtype of an array; arrays of objects, bytes and str are strings.

    Raises:
        LookupError: no tensor can hold its values.
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
