"""NumPy arrays to and from `TensorProto`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf import unknown_fields

from keras_dl_export import dtypes
from keras_dl_export.dtypes import Array, DType, encode
from keras_dl_serving.protocol.wire.messages import TensorProto

# The repeated field of a TensorProto that holds values of a dtype one by one; `int_val` for the others.
_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "float16": "half_val",
    "bfloat16": "half_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "string": "string_val",
}
# The fields that serving.proto declares as bytes, and the type of their packed values.
_PACKED = {"float_val": "<f4", "double_val": "<f8", "scomplex_val": "<c8", "dcomplex_val": "<c16"}
_UNPACKED_NUMBERS = {
    "float_val": (5, "<u4"),
    "double_val": (6, "<u8"),
    "scomplex_val": (9, "<u4"),
    "dcomplex_val": (12, "<u8"),
}
# If there are fewer values than the shape has elements, the last is repeated. The limit keeps a few bytes
# from becoming gigabytes.
_MAX_EXPANDED_BYTES = 2**28


def write(array: Array, proto: TensorProto, *, as_content: bool) -> None:
    """Write an array into an empty proto.

    Args:
        array: the values; arrays of `bytes` (dtype object) are strings.
        proto: the proto to fill.
        as_content: write numbers as one block of bytes instead of typed values, which are TensorFlow
            Serving's default.
    """
    dtype = dtypes.of_array(array)
    proto.dtype = dtype.number
    shape = proto.tensor_shape
    for size in array.shape:
        shape.dim.add(size=size)
    if array.size == 0:
        return
    if dtype.name == "string":
        proto.string_val.extend(encode(value) for value in array.ravel().tolist())
    elif as_content:
        proto.tensor_content = array.tobytes()
    elif (field := _field(dtype)) in _PACKED:
        getattr(proto, field).append(array.tobytes())
    elif field == "half_val":
        proto.half_val.extend(np.ascontiguousarray(array).view(np.uint16).ravel().tolist())
    else:
        getattr(proto, field).extend(array.ravel().tolist())


def read(proto: TensorProto) -> Array:
    """Return the array in a proto.

    Raises:
        ValueError: the proto is not a tensor: unknown dtype, unknown or impossible shape, too few bytes.
    """
    try:
        dtype = dtypes.by_number(proto.dtype)
    except LookupError as error:
        raise ValueError(str(error)) from None
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise ValueError(f"shape {list(shape)} is not fully known")
    size = math.prod(shape)
    if proto.tensor_content:
        return _from_content(proto.tensor_content, dtype, size).reshape(shape)
    values = _typed_values(proto, dtype)[:size]
    if len(values) < size:
        if size * dtype.numpy.itemsize > _MAX_EXPANDED_BYTES:
            raise ValueError(f"shape {list(shape)} with {len(values)} values is too large to fill up")
        last = values[-1] if len(values) else (b"" if dtype.name == "string" else dtype.numpy.type(0))
        missing = np.empty(size - len(values), dtype.numpy)
        missing.fill(last)
        values = np.concatenate([values, missing])
    return values.reshape(shape)


def _field(dtype: DType) -> str:
    return _FIELDS.get(dtype.name, "int_val")


def _from_content(content: bytes, dtype: DType, size: int) -> Array:
    if dtype.name == "string":
        return _strings(_split_strings(content, size))
    if len(content) != size * dtype.numpy.itemsize:
        raise ValueError(f"{len(content)} bytes for {size} values of {dtype.name}")
    return np.frombuffer(content, dtype.numpy)


def _split_strings(content: bytes, count: int) -> list[bytes]:
    # TensorFlow writes the lengths of all strings as varints, then the strings.
    if count > len(content):
        raise ValueError(f"{len(content)} bytes for {count} strings")
    lengths, position = [], 0
    for _ in range(count):
        length, shift = 0, 0
        while True:
            if position >= len(content) or shift > 63:
                raise ValueError("string lengths are cut off")
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if len(content) - position != sum(lengths):
        raise ValueError(f"{len(content) - position} bytes for strings of {sum(lengths)}")
    strings = []
    for length in lengths:
        strings.append(content[position : position + length])
        position += length
    return strings


def _strings(values: Sequence[bytes]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _typed_values(proto: TensorProto, dtype: DType) -> Array:
    field = _field(dtype)
    values: Any = getattr(proto, field)
    if dtype.name == "string":
        return _strings(values)
    if field in _PACKED:
        packed = b"".join(values) if values else _unpacked(proto, field)
        stored = np.dtype(_PACKED[field])
        if len(packed) % stored.itemsize:
            raise ValueError(f"{len(packed)} bytes of {dtype.name} values")
        return np.frombuffer(packed, stored)
    if field == "half_val":
        return np.array(values, np.int64).astype(np.uint16).view(dtype.numpy)
    # int_val carries every small integer type and, as in TensorFlow, wraps around.
    stored = np.dtype(np.uint64 if dtype.name == "uint64" else np.int64)
    return np.array(values, stored).astype(dtype.numpy)


def _unpacked(proto: TensorProto, field: str) -> bytes:
    # Legal but unusual: values sent one by one do not fit the declared bytes and arrive as unknown fields.
    number, bits = _UNPACKED_NUMBERS[field]
    fields: Any = unknown_fields.UnknownFieldSet(proto)
    found = [each.data for each in fields if each.field_number == number]
    return np.array(found, bits).tobytes()
