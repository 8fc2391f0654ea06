"""Inputs checked and cast before they are sent."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from keras_dl_serving import InvalidRequestError, Signature, TensorSpec
from keras_dl_serving.client.inputs import prepare

IMAGE = TensorSpec((None, 2, 2, 1), "float32")
OUT = {"y": TensorSpec((None,), "float32")}


def converted(value: Any, dtype: str, shape: tuple[int | None, ...] | None = None) -> Any:
    return prepare({"x": value}, Signature({"x": TensorSpec(shape, dtype)}, OUT))["x"]


def refusal(inputs: Any, **specs: TensorSpec) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        prepare(inputs, Signature(specs or {"image": IMAGE}, OUT))
    assert isinstance(caught.value, ValueError)
    return caught.value.message


def test_a_single_input_requires_no_name() -> None:
    assert prepare([1, 2], Signature({"x": TensorSpec((None,), "float32")}, OUT))["x"].tolist() == [1.0, 2.0]
    two = {"a": IMAGE, "b": TensorSpec((None,), "int32")}
    assert refusal([1, 2], **two) == (
        "inputs: expected a dict of the model's 2 inputs, 'a': float32 (batch, 2, 2, 1), 'b': int32 "
        "(batch,), got list."
    )


def test_names_that_do_not_match() -> None:
    wanted = "inputs: expected 'image': float32 (batch, 2, 2, 1); "
    assert refusal({}) == wanted + "'image' is missing."
    assert refusal({"img": 1}) == wanted + "'image' is missing and 'img' is unknown."
    assert refusal({"image": 1, "b": 1, "a": 1}) == wanted + "'a', 'b' are unknown."


def test_inputs_with_a_default_may_be_missing() -> None:
    specs = {"x": TensorSpec((), "float32"), "temperature": TensorSpec((), "float32")}
    signature = Signature(specs, OUT, optional=frozenset({"temperature"}))
    assert prepare({"x": 1.0}, signature).keys() == {"x"}


def test_shapes_that_do_not_match() -> None:
    for shape, decisive in (
        ((2, 2, 1), "[None]"),
        ((5, 2, 2), "[..., None]"),
        ((5, 3, 2, 1), "(5, 3, 2, 1)"),
    ):
        text = refusal({"image": np.zeros(shape)})
        assert text.startswith("inputs['image']: expected shape (batch, 2, 2, 1)")
        assert decisive in text


def test_an_unknown_shape_accepts_any() -> None:
    assert converted(3, "float32").shape == ()
    assert converted([[1], [2]], "float32").shape == (2, 1)


@given(st_numpy.arrays(st.sampled_from(["float32", "int64", "uint8", "bool"]), st_numpy.array_shapes()))
def test_a_matching_array_is_passed_on_unchanged(array: Any) -> None:
    assert converted(array, array.dtype.name) is array


def test_bfloat16_is_kept() -> None:
    array = np.float32([1, 2]).astype(ml_dtypes.bfloat16)
    assert converted(array, "bfloat16") is array


def test_strings_are_bytes_or_text() -> None:
    assert converted(["caf\u00e9", b"\xff"], "string").tolist() == ["caf\u00e9".encode(), b"\xff"]
    assert converted(np.array([["ab"], ["c"]]), "string").tolist() == [[b"ab"], [b"c"]]
    assert converted(b"png", "string").item() == b"png"
