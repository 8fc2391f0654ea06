"""The one rule by which a value becomes an array of a wanted dtype and shape. It needs NumPy alone.

Files that run here, servers that are asked from afar and the exporter's own arguments all follow it: the
shape must fit, and a cast may lose digits of a floating number, but never its size and never a whole number.

| from | to floats | to integers | to bool |
|---|---|---|---|
| floats | unless a finite one would become infinite | no, whole ones neither | no |
| integers | if each is exact there | if each is in range | no |
| bool | no | no | yes |
| text or bytes | no | no | no |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_IRREGULAR = "lists of different lengths. Pad them to one length."
_DENSE = {"RaggedTensor": "value.to_tensor()", "SparseTensor": "tf.sparse.to_dense(value)"}
_CASTS = {"f": "fiu", "i": "iu", "u": "iu", "c": "cfiu", "b": "b"}  # the kinds that may become each kind


def conform(label: str, value: Any, dtype: str, shape: Sequence[int | str] | None) -> NDArray[Any]:
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


def as_array(label: str, value: Any, dtype: Any = None) -> NDArray[Any]:
    """Return what NumPy reads in a value.

    Raises:
        ValueError: NumPy cannot read it.
        TypeError: it is a ragged or sparse tensor.
    """
    kind = type(value).__name__
    if kind in _DENSE:
        raise TypeError(f"{label}: expected a dense array, got a {kind}. Pass {_DENSE[kind]}.")
    try:
        array: NDArray[Any] = np.asarray(value, dtype)
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


def _numbers(label: str, value: Any, dtype: str) -> NDArray[Any]:
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


def _strings(label: str, value: Any) -> NDArray[Any]:
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
                f"{label}: expected dtype string, got half a surrogate pair in {text!r:.80}. Give bytes."
            ) from None
    return array


def _cast(label: str, array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if array.dtype == dtype:
        return array
    kind, wanted = _kind(array.dtype), _kind(dtype)
    if array.size == 0 and kind == "f":  # NumPy's dtype for []
        return array.astype(dtype)
    got, advice = str(array.dtype), f"Convert it yourself, for example with .astype({dtype.name!r})."
    if kind not in _CASTS[wanted]:
        if kind in "SU":
            advice = "Decode it first: an image, for example, with Pillow, and pass the array."
        raise TypeError(f"{label}: expected dtype {dtype}, got {got}. {advice}")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(dtype)
    lost = _lost(array, cast)
    if lost is not None:
        raise TypeError(
            f"{label}: expected dtype {dtype}, got {got} with {array[lost]}, a value that {dtype} does not "
            f"hold. {advice}"
        )
    return cast


def _lost(array: NDArray[Any], cast: NDArray[Any]) -> tuple[int, ...] | None:
    """Return the place of a value that a cast does not keep: a size, or a whole number."""
    if _kind(array.dtype) in "fc":
        lost = np.isfinite(array) & ~np.isfinite(cast)
    elif _kind(cast.dtype) in "iu":
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


def _kind(dtype: np.dtype[Any]) -> str:
    return "f" if dtype.name == "bfloat16" else dtype.kind
