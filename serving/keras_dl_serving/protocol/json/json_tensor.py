"""Tensors from JSON, by the rules and with the error texts of TensorFlow Serving's REST API.

A predict request names its tensors in one of two forms:

- rows: `{"instances": [...]}`, one item for each element of the batch, each a value or an object of inputs;
  the response is `{"predictions": [...]}`;
- columns: `{"inputs": ...}`, a value or an object of whole tensors; the response is `{"outputs": ...}`.

NumPy converts an array of numbers at once where that cannot hide an error. Everything else, and everything
invalid, is read value by value in TensorFlow Serving's order, so that the same error is reported first.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from keras_dl_export import dtypes
from keras_dl_export.dtypes import Array, DType
from keras_dl_serving.errors import InvalidArgumentError, StatusError, UnimplementedError
from keras_dl_serving.protocol.json.json_flat import FlatArray, parse_flat
from keras_dl_serving.protocol.json.json_text import parse
from keras_dl_serving.protocol.json.rapidjson_compat import quote, type_name
from keras_dl_serving.protocol.signatures import TensorSpec

Form = Literal["rows", "columns"]

_MAX_RANK = 64  # NumPy's
_INTEGER_RANGES = {
    # The small types are read as int32 and wrap around.
    "int8": (-(2**31), 2**31 - 1),
    "uint8": (-(2**31), 2**31 - 1),
    "int16": (-(2**31), 2**31 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}


@dataclass(frozen=True)
class PredictRequest:
    """A parsed predict request whose tensors are still JSON: a document, or its one array."""

    signature_name: str
    document: Mapping[str, Any]
    mentions_bool: bool
    flat: FlatArray | None = None
    body: bytes = b""

    @property
    def form(self) -> Form:
        """The form of the request, which is also that of the response.

        Raises:
            InvalidArgumentError: it has neither form, both, or no instances.
        """
        if self.flat:
            return "rows" if self.flat.key == "instances" else "columns"
        document = self.document
        if "instances" not in document:
            if "inputs" not in document:
                raise InvalidArgumentError("Missing 'inputs' or 'instances' key")
            return "columns"
        if "inputs" in document:
            raise format_error(
                document,
                "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
            )
        if not isinstance(document["instances"], list):
            raise format_error(document, "Expecting 'instances' to be an list/array")
        if not document["instances"]:
            raise format_error(document, "No values in 'instances' array")
        return "rows"

    def tensors(self, specs: Mapping[str, TensorSpec]) -> dict[str, Array]:
        """Return the request's tensors by input name.

        Args:
            specs: the inputs of the signature.

        Raises:
            InvalidArgumentError: a value, name or shape is wrong.
            UnimplementedError: an input has a dtype that JSON cannot carry.
        """
        if not specs:
            raise InvalidArgumentError(
                f"Failed to get input map for signature: {self.signature_name or 'DEFAULT'}"
            )
        wanted = {name: dtypes.by_name(spec.dtype) for name, spec in sorted(specs.items())}
        if self.flat:
            (name, dtype), *others = wanted.items()
            array = None if others else _of_flat(self.flat, dtype)
            if array is None:  # to be read value by value
                return _parse_all(self.body).tensors(specs)
            return {name: array.reshape(self.flat.shape)}
        if self.form == "rows":
            return _tensors_of_rows(self.document["instances"], wanted, trust_numpy=not self.mentions_bool)
        return _tensors_of_columns(self.document["inputs"], wanted, trust_numpy=not self.mentions_bool)


def parse_predict(body: bytes) -> PredictRequest:
    """Parse the body of a predict request.

    Raises:
        InvalidArgumentError: it is not a JSON object, or its `signature_name` is not a string.
    """
    if flat := parse_flat(body):
        return PredictRequest(flat.signature_name, {}, mentions_bool=False, flat=flat, body=body)
    return _parse_all(body)


def _parse_all(body: bytes) -> PredictRequest:
    document, signature_name = parse_object(body)
    # NumPy reads True as 1. A document without these letters has no booleans.
    return PredictRequest(signature_name, document, mentions_bool=b"true" in body or b"false" in body)


def parse_object(body: bytes) -> tuple[dict[str, Any], str]:
    """Return the document in a request's body, and its signature name, empty if it has none.

    Raises:
        InvalidArgumentError: it is not a JSON object, or its `signature_name` is not a string.
    """
    document = parse(body)
    if not isinstance(document, dict):
        raise format_error(document, "Is not object")
    signature_name = document.get("signature_name", "")
    if not isinstance(signature_name, str):
        raise InvalidArgumentError(
            f"JSON Value: {quote(document)} not formatted correctly. 'signature_name' key must be a string "
            "value."
        )
    return document, signature_name


def format_error(value: Any, complaint: str) -> InvalidArgumentError:
    """Return the error about a JSON value."""
    return InvalidArgumentError(f"JSON Value: {quote(value)} {complaint}")


# ---- rows


def _tensors_of_rows(rows: list[Any], wanted: Mapping[str, DType], *, trust_numpy: bool) -> dict[str, Array]:
    first = rows[0]
    if not isinstance(first, dict) and len(wanted) > 1:
        raise InvalidArgumentError(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as "
            "per tensorinfo_map"
        )
    if trust_numpy:
        columns = _transpose(rows, wanted)
        arrays = {name: _numeric(column, wanted[name]) for name, column in columns.items()}
        if arrays and all(array is not None for array in arrays.values()):
            return {name: array for name, array in arrays.items() if array is not None}
    if _is_row_object(first):
        return _tensors_of_row_objects(rows, wanted)
    return _tensors_of_row_values(rows, next(iter(wanted)), wanted)


def _is_row_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_b64(value)


def _transpose(rows: list[Any], wanted: Mapping[str, DType]) -> dict[str, list[Any]]:
    """Return the rows' values by input; empty if the rows differ in their names."""
    if not isinstance(rows[0], dict):
        return {next(iter(wanted)): rows}
    names = wanted.keys()
    if not all(isinstance(row, dict) and row.keys() == names for row in rows):
        return {}
    return {name: [row[name] for row in rows] for name in names}


class _RowsOfOneInput:
    """The values of one input, collected row by row; all rows must have the shape of the first."""

    def __init__(self, dtype: DType) -> None:
        self._dtype = dtype
        self._values: list[Any] = []
        self._shape: list[int] | None = None

    def add(self, value: Any) -> None:
        shape = _dense_shape(value)
        values: list[Any] = []
        _fill(value, 0, shape, self._dtype, values)
        if self._shape is None:
            self._shape = shape
            self._size = len(values)
        elif len(values) != self._size:
            raise InvalidArgumentError(f"Expecting tensor size: {self._size} but got: {len(values)}")
        elif shape != self._shape:
            raise InvalidArgumentError(
                f"Expecting shape {_brackets(self._shape)} but got: {_brackets(shape)}"
            )
        self._values += values

    def array(self, count: int) -> Array:
        return _array(self._values, [count, *(self._shape or [])], self._dtype)


def _tensors_of_row_objects(rows: list[Any], wanted: Mapping[str, DType]) -> dict[str, Array]:
    collected: dict[str, _RowsOfOneInput] = {}
    for index, row in enumerate(rows):
        if not _is_row_object(row):
            raise InvalidArgumentError(f"Expecting object but got list at item {index} of input list")
        for name, value in row.items():
            try:
                if name not in wanted:
                    raise InvalidArgumentError(f"JSON object: does not have named input: {name}")
                collected.setdefault(name, _RowsOfOneInput(wanted[name])).add(value)
            except StatusError as error:
                raise _element_error(f"{index} key: {name}", error) from None
        if row.keys() != wanted.keys():
            raise InvalidArgumentError(
                f"Failed to process element: {index} of 'instances' list. JSON object: {quote(row)} "
                f"keys must be equal to: {','.join(wanted)}"
            )
    return {name: column.array(len(rows)) for name, column in collected.items()}


def _tensors_of_row_values(rows: list[Any], name: str, wanted: Mapping[str, DType]) -> dict[str, Array]:
    column = _RowsOfOneInput(wanted[name])
    for index, row in enumerate(rows):
        if _is_row_object(row):
            raise InvalidArgumentError(f"Expecting value/list but got object at item {index} of input list")
        try:
            column.add(row)
        except StatusError as error:
            raise _element_error(str(index), error) from None
    return {name: column.array(len(rows))}


def _element_error(element: str, error: StatusError) -> StatusError:
    return StatusError.of(
        error.status,
        f"Failed to process element: {element} of 'instances' list. Error: {error.status.name}: "
        f"{error.message}",
    )


def _brackets(shape: Iterable[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


# ---- columns


def _tensors_of_columns(value: Any, wanted: Mapping[str, DType], *, trust_numpy: bool) -> dict[str, Array]:
    if not isinstance(value, dict) or is_b64(value):
        if len(wanted) > 1:
            raise InvalidArgumentError(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required "
                "as per tensorinfo_map"
            )
        value = {next(iter(wanted)): value}
    tensors = {}
    for name, dtype in wanted.items():
        if name not in value:
            raise InvalidArgumentError(f"Missing named input: {name} in 'inputs' object.")
        array = _numeric(value[name], dtype) if trust_numpy else None
        tensors[name] = _tensor(value[name], dtype) if array is None else array
    return tensors


def _tensor(value: Any, dtype: DType) -> Array:
    shape = _dense_shape(value)
    values: list[Any] = []
    _fill(value, 0, shape, dtype, values)
    return _array(values, shape, dtype)


# ---- values


def _of_flat(flat: FlatArray, dtype: DType) -> Array | None:
    """Return what `_numeric` does, but faster for floats."""
    if dtype.name not in ("float32", "float64"):
        return _numeric(flat.numbers(), dtype)
    with np.errstate(over="ignore"):
        return flat.floats.astype(dtype.numpy)


def _numeric(value: Any, dtype: DType) -> Array | None:
    """Return a regular array of numbers of the right type; None if the values have to be read one by one."""
    if dtype.name not in ("float32", "float64", *_INTEGER_RANGES):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # ragged, or nested too deep
        return None
    if dtype.name in _INTEGER_RANGES:
        low, high = _INTEGER_RANGES[dtype.name]
        if array.dtype.kind not in "iu" or (array.size and not (low <= array.min() and array.max() <= high)):
            return None
    elif array.dtype.kind not in "fiu":
        return None
    with np.errstate(over="ignore"):  # a number too large for a float32 is infinity
        return array.astype(dtype.numpy)


def _dense_shape(value: Any) -> list[int]:
    """Return the shape of nested lists, by the first item of every level."""
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > _MAX_RANK:
            raise InvalidArgumentError(f"Encountered lists nested deeper than {_MAX_RANK} levels")
        if not value:
            break
        value = value[0]
    return shape


def _fill(value: Any, level: int, shape: list[int], dtype: DType, values: list[Any]) -> None:
    """Append the values of nested lists, checking that they have the shape and the dtype."""
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise InvalidArgumentError(
                f"JSON Value: {quote(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {rank}"
            )
        values.append(_value(value, dtype))
        return
    if level >= rank:
        raise InvalidArgumentError(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise InvalidArgumentError(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{shape[level]}"
        )
    for item in value:
        _fill(item, level + 1, shape, dtype, values)


def _value(value: Any, dtype: DType) -> Any:
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if dtype.name in ("float32", "float64"):
        fits = number
    elif dtype.name in _INTEGER_RANGES:
        low, high = _INTEGER_RANGES[dtype.name]
        fits = number and isinstance(value, int) and low <= value <= high
    elif dtype.name == "bool":
        fits = isinstance(value, bool)
    elif dtype.name == "string":
        if isinstance(value, dict):
            return decode_b64(value)
        fits = isinstance(value, str)
    elif isinstance(value, dict):
        fits = False
    else:
        raise UnimplementedError(f"Conversion of JSON Value: {quote(value)} to type: {dtype.tensorflow}")
    if not fits:
        raise InvalidArgumentError(
            f"JSON Value: {quote(value)} Type: {type_name(value)} is not of expected type: {dtype.tensorflow}"
        )
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _array(values: list[Any], shape: list[int], dtype: DType) -> Array:
    if dtype.name in _INTEGER_RANGES:
        stored = np.uint64 if dtype.name == "uint64" else np.int64
        return np.array(values, stored).astype(dtype.numpy).reshape(shape)
    array = np.empty(len(values), dtype.numpy)
    with np.errstate(over="ignore"):
        array[:] = values
    return array.reshape(shape)


def is_b64(value: Any) -> bool:
    """Return whether a value is `{"b64": "..."}`."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def decode_b64(value: dict[str, Any]) -> bytes:
    """Return the bytes in `{"b64": "..."}`.

    Raises:
        InvalidArgumentError: it is not of this form, or not base64.
    """
    if not is_b64(value):
        raise InvalidArgumentError(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
    text = value["b64"]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        # TensorFlow Serving accepts white space and missing padding.
        text = "".join(text.split()).rstrip("=.")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgumentError("Unable to base64 decode") from None
