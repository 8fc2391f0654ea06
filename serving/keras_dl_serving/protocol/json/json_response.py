"""Tensors as JSON, as TensorFlow Serving's REST API writes them."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping

import numpy as np

from keras_dl_export import dtypes
from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.json.json_numbers import format_number
from keras_dl_serving.protocol.json.json_tensor import Form


def format_response(tensors: Mapping[str, Array], form: Form) -> bytes:
    """Return the body of a predict response. A single tensor has no name.

    Raises:
        InvalidArgumentError: a tensor has a dtype that JSON cannot carry, or (rows) no batch axis of the
            common size.
    """
    if not tensors:
        raise InvalidArgumentError("Cannot convert empty tensor map to JSON")
    text = _format_rows(tensors) if form == "rows" else _format_columns(tensors)
    # Strings that are not UTF-8 are sent as their bytes.
    return text.encode("utf-8", "surrogateescape")


def format_error(message: str) -> bytes:
    """Return the body of an error response."""
    quoted = json.dumps(message, ensure_ascii=False)
    return f'{{\n    "error": {quoted}\n}}'.encode("utf-8", "surrogateescape")


def format_tensor(array: Array, *, strings_as_b64: bool) -> str:
    """Return a tensor as JSON.

    Raises:
        InvalidArgumentError: JSON cannot carry its dtype.
    """
    return _nested(_tokens(array, strings_as_b64), array.shape, 1)[0]


def _is_bytes(name: str) -> bool:
    return name.endswith("_bytes")


def _format_rows(tensors: Mapping[str, Array]) -> str:
    batch = -1
    for name, array in tensors.items():
        if array.ndim == 0:
            raise InvalidArgumentError(f"Tensor name: {name} has no shape information ")
        if batch not in (-1, len(array)):
            raise InvalidArgumentError(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {batch}"
            )
        batch = len(array)
    if batch == 0:
        return '{\n    "predictions": []\n}'
    columns = {
        name: _nested(_tokens(array, _is_bytes(name)), array.shape[1:], batch)
        for name, array in tensors.items()
    }
    if len(columns) == 1:
        (rows,) = columns.values()
        return f'{{\n    "predictions": [{", ".join(rows)}\n    ]\n}}'
    keys = [f"\n            {json.dumps(name)}: " for name in columns]
    rows = [
        "\n        {" + ",".join(key + value for key, value in zip(keys, values, strict=True)) + "\n        }"
        for values in zip(*columns.values(), strict=True)
    ]
    return f'{{\n    "predictions": [{",".join(rows)}\n    ]\n}}'


def _format_columns(tensors: Mapping[str, Array]) -> str:
    columns = {name: format_tensor(array, strings_as_b64=_is_bytes(name)) for name, array in tensors.items()}
    if len(columns) == 1:
        (column,) = columns.values()
        return f'{{\n    "outputs": {column}\n}}'
    members = ",".join(f"\n        {json.dumps(name)}: {column}" for name, column in columns.items())
    return f'{{\n    "outputs": {{{members}\n    }}\n}}'


def _nested(tokens: list[str], shape: tuple[int, ...], count: int) -> list[str]:
    """Join the JSON of single values into that of `count` arrays of `shape`."""
    if 0 in shape:
        empty = ["[]"] * math.prod(shape[: shape.index(0)])
        return _nested(empty, shape[: shape.index(0)], 1) * count
    for size in reversed(shape):
        tokens = [f"[{', '.join(tokens[start : start + size])}]" for start in range(0, len(tokens), size)]
    return tokens


def _tokens(array: Array, strings_as_b64: bool) -> list[str]:
    """Return the JSON of every value of an array."""
    flat = array.ravel()
    match dtypes.of_array(array).name:
        case "float32" if flat.size > 16:
            return _float32_tokens(flat)
        case "float32" | "float64" as dtype:
            return [format_number(value, single=dtype == "float32") for value in flat.tolist()]
        case "bool":
            return ["true" if value else "false" for value in flat.tolist()]
        case "string" if strings_as_b64:
            return [f'{{"b64": "{base64.b64encode(value).decode()}"}}' for value in flat.tolist()]
        case "string":
            return [
                json.dumps(value.decode("utf-8", "surrogateescape"), ensure_ascii=False)
                for value in flat.tolist()
            ]
        case "int8" | "uint8" | "int16" | "int32" | "int64" | "uint32" | "uint64":
            return [str(value) for value in flat.tolist()]
        case _:
            raise InvalidArgumentError(
                f"Failed to write JSON value for tensor type: {dtypes.of_array(array).tensorflow}"
            )


def _float32_tokens(flat: Array) -> list[str]:
    """Return what `format_number` does, but faster: the formats are found for all values at once."""
    values = flat.astype(np.float64)
    finite = np.isfinite(values)
    magnitude = np.abs(np.where(finite, values, 0.0))
    exponent = np.floor(np.log10(magnitude, where=magnitude > 0, out=np.zeros_like(magnitude)))
    # Scaling by positive powers of ten only keeps six-digit decimals exact in float64.
    grow, shrink = 10.0 ** np.maximum(5 - exponent, 0), 10.0 ** np.maximum(exponent - 5, 0)
    six_digits = np.rint(magnitude * grow / shrink) * shrink / grow
    with np.errstate(over="ignore"):
        short = six_digits.astype(np.float32) == magnitude.astype(np.float32)
    whole = (np.rint(magnitude) == magnitude) & (magnitude < np.where(short, 1e6, 1e9))
    formats = np.where(whole, "%.1f", np.where(short, "%.6g", "%.9g"))
    tokens = [pattern % value for pattern, value in zip(formats.tolist(), values.tolist(), strict=True)]
    for index in np.flatnonzero(~finite).tolist():
        tokens[index] = format_number(float(values[index]), single=True)
    return tokens
