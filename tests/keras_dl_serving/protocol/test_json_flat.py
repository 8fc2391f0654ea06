"""The fast parser of arrays, compared with the one that checks every value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import StatusError
from keras_dl_serving.protocol.json import json_flat, json_tensor
from keras_dl_serving.protocol.signatures import TensorSpec


@pytest.fixture(autouse=True)
def nothing_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_flat, "_SMALL", 0)


def outcome(request: Any, dtype: str) -> tuple[str, Any]:
    try:
        parsed = request()
        array = parsed.tensors({"x": TensorSpec(None, dtype)})["x"]
        return parsed.signature_name, (array.dtype, array.shape, array.tolist())
    except StatusError as error:
        return "", (error.status, error.message)


def assert_same(body: bytes, dtype: str) -> None:
    fast = outcome(lambda: json_tensor.parse_predict(body), dtype)
    slow = outcome(lambda: json_tensor._parse_all(body), dtype)
    assert repr(fast) == repr(slow)  # as text: a NaN is not itself


def document(array: Array, key: str = "instances") -> bytes:
    return json.dumps({key: array.tolist()}).encode()


@given(
    st_numpy.arrays("float32", st_numpy.array_shapes(min_dims=1, max_dims=4, max_side=4)),
    st.sampled_from(["instances", "inputs"]),
)
def test_both_parsers_read_the_same_arrays(array: Array, key: str) -> None:
    for dtype in ("float32", "float64", "int32", "bool"):
        assert_same(document(array, key), dtype)


@given(st_numpy.arrays("int64", st_numpy.array_shapes(min_dims=1, max_dims=3, max_side=3)))
def test_both_parsers_read_the_same_integers(array: Array) -> None:
    for dtype in ("float32", "uint8", "int32", "int64", "string", "float16"):
        assert_same(document(array), dtype)


@given(st.data())
def test_both_parsers_find_the_same_errors(data: st.DataObject) -> None:
    body = bytearray(b'{"signature_name": "s", "instances": [[[1, 2.5], [3, -4e2]], [[5, 6], [7, 8]]]}')
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 1))] = data.draw(
            st.sampled_from([*b'[],{}" 1.-et0\n'])
        ).to_bytes(1, "big")
    assert_same(bytes(body), "float32")


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [[1], [2]3]}',
        b'{"instances": [3[1], [2]]}',
        b'{"instances": [[1, 2], [3]]}',
        b'{"instances": [[1], []]}',
        b'{"instances": []}',
        b'{"instances": [[]]}',
        b'{"instances": [1, 2], "inputs": [3]}',
        b'{"inputs": [1, 2], "signature_name": "s"}',
        b'{"instances": [1, true]}',
        b'{"instances": [1, NaN]}',
        b'{"instances": [1e400]}',
        b'{"instances": [1e39, -1e39]}',
        b'{"instances": [1, 2]} and more',
        b'{"instances": ' + b"[" * 70 + b"1" + b"]" * 70 + b"}",
    ],
)
def test_odd_documents(body: bytes) -> None:
    for dtype in ("float32", "int64"):
        assert_same(body, dtype)


def test_the_documents_that_the_fast_parser_accepts() -> None:
    flat = json_flat.parse_flat(b' { "signature_name" : "s", "inputs": [ [1, 2.5],\n[3, 4] ] } ')
    assert flat
    assert (flat.signature_name, flat.key, flat.shape) == ("s", "inputs", (2, 2))
    assert flat.floats.tolist() == flat.numbers() == [1, 2.5, 3, 4]
    for body in (b'{"instances": [{"x": 1}]}', b'{"instances": ["1"]}', b'{"inputs": 1}', b"[1]"):
        assert json_flat.parse_flat(body) is None
