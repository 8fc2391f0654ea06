"""Inputs checked and cast before they are sent."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from keras_dl_serving import InvalidRequest, Signature, TensorSpec
from keras_dl_serving.client.inputs import prepare

IMAGE = TensorSpec((None, 2, 2, 1), "float32")
OUT = {"y": TensorSpec((None,), "float32")}


def converted(value: Any, dtype: str, shape: tuple[int | None, ...] | None = None) -> Any:
    return prepare({"x": value}, Signature({"x": TensorSpec(shape, dtype)}, OUT))["x"]


def refusal(inputs: Any, **specs: TensorSpec) -> str:
    with pytest.raises(InvalidRequest) as caught:
        prepare(inputs, Signature(specs or {"image": IMAGE}, OUT))
    assert isinstance(caught.value, ValueError)
    return caught.value.message


def test_a_single_input_needs_no_name() -> None:
    assert prepare([1, 2], Signature({"x": TensorSpec((None,), "float32")}, OUT))["x"].tolist() == [1.0, 2.0]
    two = {"a": IMAGE, "b": TensorSpec((None,), "int32")}
    assert refusal([1, 2], **two) == (
        "inputs must be a dict, as the model has 2 inputs: 'a': float32 (batch, 2, 2, 1), 'b': int32 "
        "(batch,)."
    )


def test_names_that_do_not_fit() -> None:
    wanted = "inputs must be 'image': float32 (batch, 2, 2, 1); "
    assert refusal({}) == wanted + "'image' is missing."
    assert refusal({"img": 1}) == wanted + "'image' is missing and 'img' is unknown."
    assert refusal({"image": 1, "b": 1, "a": 1}) == wanted + "'a', 'b' are unknown."


def test_inputs_with_a_default_may_be_missing() -> None:
    specs = {"x": TensorSpec((), "float32"), "temperature": TensorSpec((), "float32")}
    signature = Signature(specs, OUT, optional=frozenset({"temperature"}))
    assert prepare({"x": 1.0}, signature).keys() == {"x"}


def test_shapes_that_do_not_fit() -> None:
    wanted = "input 'image' must be float32 (batch, 2, 2, 1), but is "
    assert (
        refusal({"image": np.zeros((2, 2, 1))})
        == wanted + "float32 (2, 2, 1): add the batch axis, image[None]."
    )
    assert refusal({"image": np.zeros((5, 2, 2))}) == (
        wanted + "float32 (5, 2, 2): add the channel axis, image[..., None]."
    )
    assert refusal({"image": np.zeros((5, 3, 2, 1))}) == wanted + "float32 (5, 3, 2, 1)."
    assert refusal({"image": [[1, 2], [3]]}).startswith(wanted + "not a regular array: ")


def test_any_shape_means_any() -> None:
    assert converted(3, "float32").shape == ()
    assert converted([[1], [2]], "float32").shape == (2, 1)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.float64([1.5]), "float32"),
        ([1, 2, 3], "float32"),
        (np.uint8([0, 255]), "float32"),
        (np.float16([0.1]), "float32"),
        (np.float64([0.1, np.nan, np.inf]), "float16"),
        (np.float64([1.5]), "bfloat16"),
        ([1, 2], "int32"),
        (np.int64([-128, 127]), "int8"),
        (np.uint64([2**63]), "uint64"),
        ([1], "complex64"),
        ([], "float32"),
        ([], "int32"),
    ],
)
def test_casts_that_keep_the_values(value: Any, dtype: str) -> None:
    found = converted(value, dtype)
    assert found.dtype.name == dtype
    np.testing.assert_allclose(
        found.astype(np.complex128), np.asarray(value).astype(np.complex128), rtol=1e-2
    )


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.float64([1e39]), "float32"),
        (np.float64([70000]), "float16"),
        ([2**24 + 1], "float32"),
        ([1.0], "int32"),
        ([2**31], "int32"),
        ([-1], "uint8"),
        (np.int64([-1]), "uint64"),
        (np.uint64([2**63]), "int64"),
        ([1j], "float32"),
        ([True], "float32"),
        ([1], "bool"),
    ],
)
def test_casts_that_would_change_values_are_refused(value: Any, dtype: str) -> None:
    with pytest.raises(
        InvalidRequest, match=rf"input 'x' must be {dtype} .*does not become {dtype} without changing"
    ):
        converted(value, dtype)


@given(st_numpy.arrays(st.sampled_from(["float32", "int64", "uint8", "bool"]), st_numpy.array_shapes()))
def test_what_fits_is_passed_on_as_it_is(array: Any) -> None:
    assert converted(array, array.dtype.name) is array


def test_bfloat16_stays() -> None:
    array = np.float32([1, 2]).astype(ml_dtypes.bfloat16)
    assert converted(array, "bfloat16") is array


def test_strings_are_bytes_or_text() -> None:
    assert converted(["caf\u00e9", b"\xff"], "string").tolist() == ["caf\u00e9".encode(), b"\xff"]
    assert converted(np.array([["ab"], ["c"]]), "string").tolist() == [[b"ab"], [b"c"]]
    assert converted(b"png", "string").item() == b"png"
    with pytest.raises(
        InvalidRequest, match=r"must be string of any shape, that is bytes or str, but holds a int"
    ):
        converted([1], "string")


@pytest.mark.parametrize(
    ("value", "dtype", "shape", "text"),
    [
        (["a"], "float32", (None,), "but is bytes or text instead of numbers."),
        ([None], "float32", (None,), "but is other objects instead of numbers."),
        (None, "int32", (None,), "but is None instead of numbers."),
        (
            b"\x89PNG",
            "float32",
            (None,),
            "decode it first, an image for example with Pillow",
        ),
        (1.0, "float32", (None,), "but is float32 (): put it in a list."),
        (b"png", "string", (None,), "but is string (): put it in a list."),
        ("\ud800", "string", (), "but holds half a surrogate pair: '\\ud800'. Give bytes."),
    ],
)
def test_advice(value: Any, dtype: str, shape: tuple[int | None, ...], text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        converted(value, dtype, shape)
    assert text in caught.value.message
