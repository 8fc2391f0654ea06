"""Inputs, checked against a signature and cast to it before they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_dl_serving import dtypes
from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import InvalidRequest
from keras_dl_serving.signatures import Signature, TensorSpec


def prepare(inputs: Any, signature: Signature) -> dict[str, Array]:
    """The arrays to send.

    Args:
        inputs: array-likes by input name, or a single array-like for a signature with a single input.
        signature: what the model wants.

    Returns:
        Arrays of the signature's dtypes; strings as arrays of `bytes` objects.

    Raises:
        InvalidRequest: a name, shape or dtype does not fit, or casting would change values.
    """
    if not isinstance(inputs, Mapping):
        if len(signature.inputs) != 1:
            raise InvalidRequest(
                f"inputs must be a dict, as the model has {len(signature.inputs)} inputs: "
                f"{_listed(signature)}."
            )
        inputs = {next(iter(signature.inputs)): inputs}
    unknown = sorted(map(str, inputs.keys() - signature.inputs.keys()))
    missing = sorted(signature.inputs.keys() - inputs.keys() - signature.optional)
    if unknown or missing:
        complaints = [f"{_quoted(missing)} missing"] * bool(missing) + [f"{_quoted(unknown)} unknown"] * bool(
            unknown
        )
        raise InvalidRequest(f"inputs must be {_listed(signature)}; {' and '.join(complaints)}.")
    arrays = {name: _convert(name, value, signature.inputs[name]) for name, value in inputs.items()}
    for name, array in arrays.items():
        _check_shape(name, array, signature.inputs[name])
    return arrays


def _listed(signature: Signature) -> str:
    return ", ".join(f"{name!r}: {spec}" for name, spec in signature.inputs.items())


def _quoted(names: list[str]) -> str:
    return ", ".join(map(repr, names)) + (" is" if len(names) == 1 else " are")


def _convert(name: str, value: Any, spec: TensorSpec) -> Array:
    try:
        array = np.asarray(value, dtype=object if spec.dtype == "string" else None)
    except ValueError as error:
        raise InvalidRequest(f"input {name!r} must be {spec}, but is not a regular array: {error}.") from None
    if spec.dtype == "string":
        return _strings(name, array, spec)
    target = dtypes.by_name(spec.dtype).numpy
    if array.dtype == target:
        return array
    if array.dtype.kind in "OSU":
        what = "None" if value is None else "other objects" if array.dtype.kind == "O" else "bytes or text"
        advice = ""
        if isinstance(value, bytes):
            advice = ": decode it first, an image for example with Pillow, and give an array"
        raise InvalidRequest(f"input {name!r} must be {spec}, but is {what} instead of numbers{advice}.")
    cast = _cast(array, target)
    if cast is None:
        raise InvalidRequest(
            f"input {name!r} must be {spec}, but is {_describe(array)}, which does not become {spec.dtype} "
            f"without changing values: convert it yourself, for example with .astype({spec.dtype!r})."
        )
    return cast


def _cast(array: Array, target: np.dtype[Any]) -> Array | None:
    """The array in another dtype, if that keeps the values (floats may lose digits, not their size)."""
    from_kind, to_kind = array.dtype.kind, "f" if target.name == "bfloat16" else target.kind
    if array.size == 0 and from_kind == "f":  # NumPy's dtype for []
        return array.astype(target)
    if from_kind not in {"f": "fiu", "i": "iu", "u": "iu", "c": "cfiu"}.get(to_kind, ""):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(target)
    if from_kind in "fc":
        kept = np.array_equal(np.isfinite(cast.astype(array.dtype)), np.isfinite(array))
    else:
        real = cast.real
        kept = np.array_equal(real.astype(array.dtype), array) and np.array_equal(real < 0, array < 0)
    return cast if kept else None


def _strings(name: str, array: Array, spec: TensorSpec) -> Array:
    encoded = np.empty(array.shape, object)
    for index, value in np.ndenumerate(array):
        if not isinstance(value, str | bytes):
            raise InvalidRequest(
                f"input {name!r} must be {spec}, that is bytes or str, but holds a {type(value).__name__}."
            )
        try:
            encoded[index] = value.encode() if isinstance(value, str) else bytes(value)
        except UnicodeEncodeError:
            raise InvalidRequest(
                f"input {name!r} must be {spec}, but holds half a surrogate pair: {value!r:.80}. Give bytes."
            ) from None
    return encoded


def _check_shape(name: str, array: Array, spec: TensorSpec) -> None:
    if spec.shape is None or _fits(array.shape, spec.shape):
        return
    advice = "."
    if _fits(array.shape, spec.shape[1:]):
        advice = f": add the batch axis, {name}[None]." if array.ndim else ": put it in a list."
    elif array.ndim == len(spec.shape) - 1 and spec.shape[-1] == 1 and _fits(array.shape, spec.shape[:-1]):
        advice = f": add the channel axis, {name}[..., None]."
    raise InvalidRequest(f"input {name!r} must be {spec}, but is {_describe(array)}{advice}")


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        size in (None, given) for given, size in zip(shape, wanted, strict=True)
    )


def _describe(array: Array) -> str:
    return f"{dtypes.of_array(array).name if array.dtype.kind in 'OSU' else array.dtype} {array.shape}"
