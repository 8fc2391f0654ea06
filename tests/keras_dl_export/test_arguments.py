"""Inputs, formats and paths in the forms that users pass: accepted, or refused with a remedy."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_dl_export import ReleaseError, export, load_artifact, to_onnx, to_saved_model, verify
from keras_dl_export.formats.onnx.onnx_format import OnnxFormat
from keras_dl_export.model_endpoints import endpoints_of
from keras_dl_export.quantization import check_quantization
from keras_dl_export.samples.examples import take_examples

X = np.arange(80, dtype=np.float32).reshape(20, 4)
Y = np.arange(20)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2)(x))


class Batches(keras.utils.PyDataset):
    """A `PyDataset` of batches with labels."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return X[5 * index : 5 * index + 5], Y[5 * index : 5 * index + 5]


def _generated() -> Iterator[Any]:
    for start in range(0, 20, 2):
        yield {"x": X[start : start + 2]}, Y[start : start + 2]
    raise AssertionError("more was read than is needed")


class Loader:
    """A stand-in for a torch `DataLoader`: it yields lists of inputs and labels."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[Any]:
        return iter([[X[:10], Y[:10]], [X[10:], Y[10:]]])


_PIPELINES: list[Callable[[], Any]] = [
    lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(5),
    lambda: tf.data.Dataset.from_tensor_slices({"x": X}).batch(5).repeat(),
    lambda: tf.data.Dataset.from_tensor_slices(X).batch(7),
    Batches,
    Loader,
    lambda: (batch for batch in [X[:10], X[10:]]),
    lambda: [(X[:10], Y[:10]), (X[10:], Y[10:])],
    lambda: (X, Y),
    lambda: tf.constant(X),
]
_LISTS: list[Callable[[], Any]] = [lambda: {"x": X.tolist()}, X.tolist]


@pytest.mark.parametrize("make", [*_PIPELINES, *_LISTS])
def test_inputs_are_the_first_examples_of_any_data(make: Callable[[], Any]) -> None:
    taken = take_examples("inputs", make())
    array = np.asarray(taken["x"] if isinstance(taken, dict) else taken, np.float32)
    assert len(array) >= 20
    np.testing.assert_array_equal(array[:20], X)


@pytest.mark.parametrize("make", _PIPELINES)
def test_representative_data_are_accepted_in_the_same_forms(
    make: Callable[[], Any], model: keras.Model
) -> None:
    kinds = check_quantization([OnnxFormat()], "int8", make(), endpoints_of(model))
    rows = kinds["onnx"].rows["serving_default"]
    np.testing.assert_array_equal(np.concatenate([row["x"] for row in rows])[:20], X)


def test_only_the_needed_examples_are_read() -> None:
    many = ({"x": X[:8]} if number < 4 else pytest.fail("read on") for number in range(9))
    assert take_examples("inputs", many)["x"].shape == (32, 4)


def test_export_accepts_a_pipeline(model: keras.Model, tmp_path: Path) -> None:
    artifact = to_onnx(model, tmp_path / "m.onnx", inputs=tf.data.Dataset.from_tensor_slices((X, Y)).batch(5))
    assert any(comparison.inputs == "real" for comparison in artifact.parity.comparisons)


def _failing() -> Iterator[Any]:
    raise RuntimeError("the disk is gone")
    yield


@pytest.mark.parametrize(
    ("inputs", "decisive"),
    [
        ([[1.0], [1.0, 2.0]], r"inputs\['x'\].*different lengths"),
        ("photo.png", r"inputs.*'photo.png'"),
        (np.array([["a"] * 4]), r"inputs\['x'\].*float32"),
        ({"x": None}, r"inputs\['x'\].*None"),
        ({"x": np.array([[None] * 4])}, r"inputs\['x'\].*NoneType"),
        ({"y": X}, r"inputs.*expected arrays for x.*'y'"),
        (X > 3, r"inputs\['x'\].*float32, got bool"),
        (5, r"inputs\['x'\].*\(batch, 4\), got \(\)"),
        (tf.data.Dataset.from_tensor_slices(X), r"inputs\['x'\].*\(batch, 4\), got \(4,\).*first axis"),
        (tf.data.Dataset.from_tensor_slices(X[:0]).batch(2), r"inputs.*at least one batch.*empty"),
        (iter(()), r"inputs.*at least one batch.*empty"),
        (_failing(), r"inputs.*generator failed: the disk is gone"),
        (tf.data.Dataset.from_tensors(tf.ragged.constant([[1.0], [1.0, 2.0]])), r"inputs.*to_tensor"),
        (tf.ragged.constant([[1.0], [1.0, 2.0]]), r"inputs.*to_tensor"),
        (object(), r"inputs\['x'\].*float32"),
    ],
)
def test_inputs_that_do_not_match_are_refused(
    inputs: Any, decisive: str, model: keras.Model, tmp_path: Path
) -> None:
    with pytest.raises((TypeError, ValueError), match=decisive):
        to_onnx(model, tmp_path / "m.onnx", inputs=inputs)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("formats", [None, "", "keras", 5, [None], ["onnx", ""]])
def test_unknown_formats_are_refused(formats: Any, model: keras.Model, tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError), match=r"formats.*saved_model, tflite, onnx"):
        export(model, tmp_path / "release", formats=formats)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [None, "", " ", 5, b"m", "a\0b", "n" * 300, "n" * 300 + "/m", "\u540d" * 90])
def test_invalid_paths_are_refused(path: Any, model: keras.Model, tmp_path: Path) -> None:
    inside = str(tmp_path / path) if isinstance(path, str) and path.strip() else path
    for call, argument in (
        (lambda: export(model, inside), "folder"),
        (lambda: to_saved_model(model, inside), "folder"),
        (lambda: to_onnx(model, inside), "path"),
        (lambda: load_artifact(inside), "path"),
        (lambda: verify(inside), "artifact"),
    ):
        with pytest.raises((TypeError, ValueError), match=rf"{argument}: expected"):
            call()
    assert not list(tmp_path.iterdir())


def test_a_path_below_a_file_is_refused(model: keras.Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for call in (
        lambda: export(model, tmp_path / "file" / "release"),
        lambda: to_onnx(model, tmp_path / "file" / "m.onnx"),
    ):
        with pytest.raises(ReleaseError, match=r"file.*folder"):
            call()
    assert (tmp_path / "file").read_text() == "kept"
