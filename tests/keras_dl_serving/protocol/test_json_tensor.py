"""Tensors in and out of JSON."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from keras_dl_export import dtypes
from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import InvalidArgumentError, StatusError, UnimplementedError
from keras_dl_serving.protocol.json import json_response, json_tensor
from keras_dl_serving.protocol.signatures import TensorSpec

X = {"x": TensorSpec((None,), "float32")}
TWO = {"a": TensorSpec((None,), "float32"), "b": TensorSpec((None,), "int32")}


def tensors(body: str | bytes, specs: dict[str, TensorSpec] | None = None) -> dict[str, Array]:
    body = body.encode() if isinstance(body, str) else body
    return json_tensor.parse_predict(body).tensors(X if specs is None else specs)


def one(body: str, dtype: str = "float32") -> Array:
    return tensors(body, {"x": TensorSpec(None, dtype)})["x"]


# ---- in


def test_rows_and_columns_of_one_input() -> None:
    for body in (
        '{"instances": [[1, 2.5], [3, 4]]}',
        '{"instances": [{"x": [1, 2.5]}, {"x": [3, 4]}]}',
        '{"inputs": [[1, 2.5], [3, 4]]}',
        '{"inputs": {"x": [[1, 2.5], [3, 4]], "ignored": 0}}',
    ):
        array = one(body)
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, [[1, 2.5], [3, 4]])


def test_rows_and_columns_of_two_inputs() -> None:
    for body in (
        '{"instances": [{"a": 0.5, "b": 1}, {"b": 2, "a": 1.5}]}',
        '{"inputs": {"a": [0.5, 1.5], "b": [1, 2]}}',
    ):
        found = tensors(body, TWO)
        np.testing.assert_array_equal(found["a"], np.float32([0.5, 1.5]))
        np.testing.assert_array_equal(found["b"], np.int32([1, 2]))


def test_scalars_only_in_columns() -> None:
    assert one('{"inputs": 3}').shape == ()
    assert one('{"instances": [3]}').shape == (1,)


def test_strings_and_base64() -> None:
    encoded = base64.b64encode(b"\xff\x00image").decode()
    found = one(f'{{"instances": ["caf\u00e9", {{"b64": "{encoded}"}}]}}', "string")
    assert found.tolist() == ["caf\u00e9".encode(), b"\xff\x00image"]
    assert one('{"inputs": {"b64": "aGVsbG8"}}', "string").item() == b"hello"  # no padding
    assert one('{"inputs": {"x": {"b64": "aGVs bG8="}}}', "string").item() == b"hello"  # white space


def test_small_integers_wrap_around_and_floats_overflow_to_infinity() -> None:
    assert one('{"instances": [300, -1]}', "uint8").tolist() == [44, 255]
    assert one('{"instances": [1e39, -1e39, 1e-60, NaN]}').tolist()[:3] == [math.inf, -math.inf, 0.0]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[1]", "JSON Value: [1] Is not object"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        (
            '{"signature_name": 5, "instances": [1]}',
            'JSON Value: {"signature_name":5,"instances":[1]} not formatted '
            "correctly. 'signature_name' key must be a string value.",
        ),
        (
            '{"instances": 1, "inputs": 2}',
            'JSON Value: {"instances":1,"inputs":2} Not formatted correctly expecting only '
            "one of 'inputs' or 'instances' keys to exist ",
        ),
        (
            '{"instances": 1}',
            "JSON Value: {\"instances\":1} Expecting 'instances' to be an list/array",
        ),
        ('{"instances":[]}', "JSON Value: {\"instances\":[]} No values in 'instances' array"),
        (
            '{"instances": [{"y": 1}]}',
            "Failed to process element: 0 key: y of 'instances' list. Error: INVALID_ARGUMENT: JSON object: "
            "does not have named input: y",
        ),
        ('{"instances": [{"x": 1}, 2]}', "Expecting object but got list at item 1 of input list"),
        ('{"instances": [1, {"x": 2}]}', "Expecting value/list but got object at item 1 of input list"),
        (
            '{"instances": [[1, 2], [3]]}',
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor "
            "size: 2 but got: 1",
        ),
        (
            '{"instances": [[1, 2], [[3, 4]]]}',
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [2] "
            "but got: [1,2]",
        ),
        (
            '{"instances": [[[1, 2], [3]]]}',
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Encountered list at "
            "unexpected size: 1 at level: 1 expected size: 2",
        ),
        (
            '{"instances": [[1, [2]]]}',
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Encountered list at "
            "unexpected level: 1 expected < 1",
        ),
        (
            '{"instances": [[[1], 2]]}',
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 2 found "
            "at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        (
            '{"instances": ["x"]}',
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"x\" "
            "Type: String is not of expected type: float",
        ),
        ('{"inputs": {"y": 1}}', "Missing named input: x in 'inputs' object."),
        ('{"inputs":[true]}', "JSON Value: true Type: True is not of expected type: float"),
        ('{"inputs":[1, true]}', "JSON Value: true Type: True is not of expected type: float"),
        ('{"inputs":[null]}', "JSON Value: null Type: Null is not of expected type: float"),
    ],
)
def test_errors_of_one_float_input(body: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        tensors(body)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            '{"instances": [1]}',
            "instances is a plain list, but expecting list of objects as multiple input tensors required as "
            "per tensorinfo_map",
        ),
        (
            '{"instances": [{"a": 1, "b": 1}, {"a": 1}]}',
            "Failed to process element: 1 of 'instances' list. JSON object: {\"a\":1} keys must be "
            "equal to: a,b",
        ),
        (
            '{"instances": [{"a": 1, "b": 1.0}]}',
            "Failed to process element: 0 key: b of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: "
            "1.0 Type: Number is not of expected type: int32",
        ),
        (
            '{"inputs": [1]}',
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        ('{"inputs": {"a": 1}}', "Missing named input: b in 'inputs' object."),
    ],
)
def test_errors_of_two_inputs(body: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        tensors(body, TWO)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        ("int32", "3000000000", "JSON Value: 3000000000 Type: Number is not of expected type: int32"),
        ("int64", "1e3", "JSON Value: 1000.0 Type: Number is not of expected type: int64"),
        ("uint64", "-1", "JSON Value: -1 Type: Number is not of expected type: uint64"),
        ("bool", "1", "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("string", "1", "JSON Value: 1 Type: Number is not of expected type: string"),
        ("float64", '"1"', 'JSON Value: "1" Type: String is not of expected type: double'),
        (
            "string",
            '{"x": {"b64": "aGVsbG8=", "more": 1}}',
            'JSON Value: {"b64":"aGVsbG8=","more":1} not formatted correctly for base64 data',
        ),
        ("string", '{"b64": "&&&&"}', "Unable to base64 decode"),
    ],
)
def test_types_are_strict(dtype: str, value: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        one(f'{{"inputs": {value}}}', dtype)
    assert caught.value.message == message


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "complex128", "uint16"])
@pytest.mark.parametrize("body", ['{"inputs": [1]}', '{"instances": [1]}'])
def test_dtypes_without_a_json_form_are_unimplemented(dtype: str, body: str) -> None:
    name = dtypes.by_name(dtype).tensorflow
    with pytest.raises(UnimplementedError, match=f"Conversion of JSON Value: 1 to type: {name}"):
        one(body, dtype)


def test_a_signature_without_inputs_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^Failed to get input map for signature: DEFAULT$"):
        tensors('{"instances": [1]}', {})


JUNK = st.recursive(
    st.sampled_from(
        [0, 1, -1, 7, 2**31, 2**63, 2**64 - 1, 1.0, 0.5, 1e39, True, False, None, "a", {"b64": "YQ=="}]
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(JUNK, min_size=1, max_size=4),
    st.sampled_from(["float32", "float64", "int32", "int8", "uint64", "bool"]),
)
def test_numpy_never_accepts_values_that_the_rules_refuse(rows: list[Any], dtype: str) -> None:
    """The fast parser and the slow one agree on every document, in values and errors."""

    def outcome(form: str, mentions_bool: bool) -> Any:
        body = orjson.dumps({form: rows})
        request = json_tensor.parse_predict(body)
        exact = json_tensor.PredictRequest(
            "", request.document, mentions_bool=mentions_bool or request.mentions_bool
        )
        try:
            array = exact.tensors({"x": TensorSpec(None, dtype)})["x"]
            return array.dtype, array.shape, array.tolist()
        except StatusError as error:
            return error.status, error.message

    for form in ("instances", "inputs"):
        assert outcome(form, mentions_bool=False) == outcome(form, mentions_bool=True)


# ---- out


def written(form: json_tensor.Form, **arrays: Any) -> str:
    return json_response.format_response(
        {name: np.asarray(array) for name, array in arrays.items()}, form
    ).decode()


def test_one_output_has_no_name() -> None:
    assert json.loads(written("rows", y=[[1, 2], [3, 4]])) == {"predictions": [[1, 2], [3, 4]]}
    assert json.loads(written("columns", y=[[1, 2], [3, 4]])) == {"outputs": [[1, 2], [3, 4]]}


def test_several_outputs_are_objects() -> None:
    arrays = {"a": [1, 2], "b": [[True], [False]]}
    assert json.loads(written("rows", **arrays)) == {
        "predictions": [{"a": 1, "b": [True]}, {"a": 2, "b": [False]}]
    }
    assert json.loads(written("columns", **arrays)) == {"outputs": arrays}


def test_rows_are_laid_out_as_the_original_does() -> None:
    assert written("rows", y=np.float32([2.5, 3])) == '{\n    "predictions": [2.5, 3.0\n    ]\n}'


def test_strings_are_text_and_bytes_are_base64() -> None:
    values = np.array([b"caf\xc3\xa9", b"\xff"], object)
    assert (
        json_response.format_response({"y": values}, "columns")
        == b'{\n    "outputs": ["caf\xc3\xa9", "\xff"]\n}'
    )
    assert json.loads(written("rows", y_bytes=values))["predictions"] == [
        {"b64": "Y2Fmw6k="},
        {"b64": "/w=="},
    ]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0), (2, 0, 3), (2, 3, 0)])
def test_empty_axes(shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, np.float32)
    assert json.loads(written("rows", y=array)) == {"predictions": array.tolist()}
    assert json.loads(written("columns", y=array)) == {"outputs": array.tolist()}


def test_rows_need_a_common_batch_axis() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^Tensor name: y has no shape information $"):
        written("rows", y=1.0)
    with pytest.raises(
        InvalidArgumentError, match=r"^Tensor name: b has inconsistent batch size: 1 expecting: 2$"
    ):
        written("rows", a=[1, 2], b=[1])
    assert json.loads(written("columns", y=1.5)) == {"outputs": 1.5}


@pytest.mark.parametrize(("dtype", "name"), [("float16", "half"), ("complex64", "complex64")])
def test_dtypes_that_cannot_be_written(dtype: str, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^Failed to write JSON value for tensor type: {name}$"):
        written("rows", y=np.zeros(2, dtype))


def exactly(value: float, kind: type[np.floating[Any]], digits: int) -> str:
    """The rule of the original for each number: `%g`, or all digits if `%g` is another number."""
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    text = f"{value:g}"
    if kind(text) != kind(value):
        text = f"{value:.{digits}g}"
    return text if set(text) & {".", "e"} else text + ".0"


FLOATS32 = st_numpy.arrays(np.float32, st.integers(17, 40), elements=st.floats(width=32))
SIX_DIGITS = st.builds(
    lambda digits, power: digits * 10.0**power, st.integers(-999_999, 999_999), st.integers(-44, 32)
)


@given(FLOATS32 | st_numpy.arrays(np.float32, 20, elements=SIX_DIGITS.map(np.float32).map(float)))
def test_every_float32_is_written_by_the_rule(array: Array) -> None:
    text = json_response.format_tensor(array, strings_as_b64=False)
    assert text == f"[{', '.join(exactly(value, np.float32, 9) for value in array.tolist())}]"


@given(st.lists(st.floats(), max_size=5))
def test_every_float64_is_written_by_the_rule(values: list[float]) -> None:
    text = json_response.format_tensor(np.array(values, np.float64), strings_as_b64=False)
    assert text == f"[{', '.join(exactly(value, np.float64, 17) for value in values)}]"


NUMERIC = ["float32", "float64", "int8", "uint8", "int16", "int32", "int64", "uint32", "uint64", "bool"]


@given(st.data(), st.sampled_from(NUMERIC))
def test_written_numbers_are_read_bit_for_bit(data: st.DataObject, dtype: str) -> None:
    shapes = st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4)
    array = data.draw(st_numpy.arrays(dtype, shapes))
    body = b'{"inputs": ' + json_response.format_tensor(array, strings_as_b64=False).encode() + b"}"
    np.testing.assert_array_equal(one(body.decode(), dtype), array)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=4))
def test_bytes_are_read_back(values: list[bytes]) -> None:
    array = np.empty(len(values), object)
    array[:] = values
    for strings_as_b64 in (False, True):
        text = json_response.format_tensor(array, strings_as_b64=strings_as_b64)
        body = ('{"instances": ' + text + "}").encode("utf-8", "surrogateescape")
        assert tensors(body, {"x": TensorSpec(None, "string")})["x"].tolist() == values


def test_errors_with_any_quotation_are_json() -> None:
    message = 'a "quoted" \\ line\n\x01 caf\u00e9'
    assert json.loads(json_response.format_error(message)) == {"error": message}
