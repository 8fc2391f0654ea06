"""Shapes and dtypes of named tensors."""

import numpy as np
import pytest

from keras_dl_export import Spec, draw_inputs


def test_dynamic_axes_are_named_after_the_tensor() -> None:
    assert Spec.named("tokens", (None, None), "int32").shape == ("batch", "tokens_time")
    assert Spec.named("image", (None, None, None, 3), "uint8").shape == (
        "batch",
        "image_height",
        "image_width",
        3,
    )
    assert Spec.named("x", (4, None, 2), "float32").shape == (4, "x_time", 2)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.zeros((2, 3)), "float32"),
        (np.zeros((2, 3), np.int64), "float32"),
        (np.full((2, 3), 255), "uint8"),
        ([[True, False, True]], "bool"),
        (np.array([["a", "b", "c"]]), "string"),
    ],
)
def test_numbers_of_the_same_kind_are_cast(value: object, dtype: str) -> None:
    array = Spec(("batch", 3), dtype).conform("x", value)  # type: ignore[arg-type]
    assert array.dtype == (object if dtype == "string" else dtype)
    np.testing.assert_array_equal(array, np.asarray(value))


@pytest.mark.parametrize(
    ("value", "dtype", "got"),
    [
        (np.full((2, 3), 0.5), "int32", "float64"),
        (np.full((2, 3), 256), "uint8", "int64"),
        (np.full((2, 3), -1), "uint8", "int64"),
        (np.array([["a", "b", "c"]]), "float32", "<U1"),
    ],
)
def test_a_cast_that_changes_a_number_is_refused(value: np.ndarray, dtype: str, got: str) -> None:
    with pytest.raises(TypeError, match=f"x: expected dtype {dtype}, got {got}"):
        Spec(("batch", 3), dtype).conform("x", value)


@pytest.mark.parametrize("shape", [(2, 4), (3,), (1, 2, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x: expected shape \(batch, 3\), got \("):
        Spec(("batch", 3), "float32").conform("x", np.zeros(shape))


def test_a_spec_describes_its_tensor() -> None:
    with pytest.raises(ValueError, match=r"shape: expected an int .* got \(None, 3\)"):
        Spec((None, 3), "float32")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dtype: expected a name"):
        Spec((3,), np.float32)  # type: ignore[arg-type]


def test_drawn_inputs_match_the_endpoint() -> None:
    specs = {
        "image": Spec(("batch", 8, 8, 1), "float32"),
        "tokens": Spec(("batch", "tokens_time"), "int32"),
        "state": Spec((2, 4), "float32"),
        "flag": Spec(("batch",), "bool"),
        "word": Spec(("batch",), "string"),
    }
    drawn = draw_inputs(specs, 6, vocabulary=9)
    for name, spec in specs.items():
        assert spec.conform(name, drawn[name]) is not None
        assert drawn[name].shape[0] == (2 if name == "state" else 6)
    assert drawn["tokens"].max() < 9
    np.testing.assert_array_equal(drawn["image"], draw_inputs(specs, 6, vocabulary=9)["image"])
    assert not np.array_equal(drawn["image"], draw_inputs(specs, 6, vocabulary=9, seed=1)["image"])
