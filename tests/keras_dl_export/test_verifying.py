"""`verify`: files of any converter against their model, and the first layer that differs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flatbuffers
import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
import tf2onnx
from ai_edge_litert import schema_py_generated as schema
from keras import layers, ops

from keras_dl_export import ParityError, export, open_release, to_onnx, to_tflite, verify
from keras_dl_export.formats.registry import open_runners
from keras_dl_export.formats.saved_model.saved_model_writer import write_saved_model
from keras_dl_export.parity.checking import check_parity
from keras_dl_export.parity.divergence import Divergence
from keras_dl_export.quiet import silence
from keras_dl_export.tracing import Signature, trace_endpoints, trace_like
from tests._support.weights import disturb


@pytest.fixture(scope="module")
def two_heads() -> keras.Model:
    image, side = keras.Input((6, 6, 1), name="image"), keras.Input((2,), name="side")
    hidden = layers.Concatenate()([layers.Flatten()(image), side])
    heads = {"mean": layers.Dense(3, name="mean")(hidden), "spread": layers.Dense(2, name="spread")(hidden)}
    return disturb(keras.Model([image, side], heads))


def without_signatures(path: Path) -> bytes:
    """Return a TFLite file without signatures, as old converters wrote them."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    model.signatureDefs = None
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="module")
def alien_files(two_heads: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model's files as TensorFlow's and tf2onnx's own converters write them."""
    folder = tmp_path_factory.mktemp("aliens")
    specs = [tf.TensorSpec((None, 6, 6, 1), tf.float32, "a"), tf.TensorSpec((None, 2), tf.float32, "b")]

    @tf.function(input_signature=specs)
    def call(a: Any, b: Any) -> Any:
        outputs = two_heads([a, b], training=False)
        return outputs["mean"], outputs["spread"]

    with silence():
        two_heads.export(str(folder / "keras"), verbose=False)
        converted, _ = tf2onnx.convert.from_function(call, specs, opset=18)
        onnx.save(converted, folder / "alien.onnx")
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "keras"))
        (folder / "alien.tflite").write_bytes(converter.convert())
    (folder / "unsigned.tflite").write_bytes(without_signatures(folder / "alien.tflite"))
    return {name: folder / name for name in ("keras", "alien.onnx", "alien.tflite", "unsigned.tflite")}


@pytest.mark.parametrize("name", ["keras", "alien.onnx", "alien.tflite", "unsigned.tflite"])
def test_a_file_of_another_converter_is_compared_under_the_models_names(
    name: str, two_heads: keras.Model, alien_files: dict[str, Path]
) -> None:
    parity = verify(alien_files[name], two_heads)
    assert parity.max_abs_error < 1e-5
    assert {each.output for each in parity.comparisons} == {"mean", "spread"}
    assert parity.kinds == ("uniform", "large", "zeros")
    notes = " ".join(parity.notes)
    if name == "alien.onnx":
        assert "The input 'image' of 'serving_default' is 'a" in notes
        assert "The output 'mean'" in notes


@pytest.mark.parametrize("name", ["alien.onnx", "alien.tflite"])
def test_a_wrong_file_of_another_converter_is_refused(
    name: str, two_heads: keras.Model, alien_files: dict[str, Path]
) -> None:
    other = keras.models.clone_model(two_heads)
    with pytest.raises(ParityError, match=rf"{name}: endpoint 'serving_default', output 'mean', batch 1"):
        verify(alien_files[name], other)


def test_a_file_of_fixed_sizes_is_compared_at_these_sizes(tmp_path: Path) -> None:
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, layers.Conv1D(2, 3, padding="same")(x))
    call = tf.function(lambda x: model(x), input_signature=[tf.TensorSpec((1, 7, 3), tf.float32, "x")])
    with silence():
        converted, _ = tf2onnx.convert.from_function(call, call.input_signature, opset=18)
    onnx.save(converted, tmp_path / "fixed.onnx")
    parity = verify(tmp_path / "fixed.onnx", model)
    assert all(not each.sizes for each in parity.comparisons)
    assert {"uniform", "large", "zeros"} <= set(parity.kinds)


def test_a_file_with_other_inputs_is_refused(perceptron: keras.Model, alien_files: dict[str, Path]) -> None:
    with pytest.raises(ParityError, match="expected the inputs features float32.*got .*float32"):
        verify(alien_files["alien.onnx"], perceptron)


def test_an_integer_of_another_width_is_the_same_number(tmp_path: Path) -> None:
    x = keras.Input((5,), name="x")
    model = keras.Model(x, ops.cast(ops.argmax(x, -1), "int32"))
    wide = keras.Model(x, ops.cast(ops.argmax(x, -1), "int64"))
    to_onnx(wide, tmp_path / "wide.onnx")
    parity = verify(tmp_path / "wide.onnx", model)
    assert any("is int64 in the file" in note for note in parity.notes)


def coarse(kernel_error: float, tmp_path: Path) -> tuple[keras.Model, Path]:
    """Return a model, and a file whose weights differ by the given amount."""
    x = keras.Input((4,), name="x")
    model, other = (keras.Model(x, layers.Dense(2, kernel_initializer="ones")(x)) for _ in range(2))
    other.set_weights([weight * (1.0 + kernel_error) for weight in model.get_weights()])
    to_onnx(other, tmp_path / "coarse.onnx")
    return model, tmp_path / "coarse.onnx"


def test_a_tolerance_is_widened_on_request(tmp_path: Path) -> None:
    model, path = coarse(1e-3, tmp_path)
    with pytest.raises(ParityError):
        verify(path, model)
    with pytest.raises(ParityError):
        verify(path, model, tolerance=1e-7)
    parity = verify(path, model, tolerance=2e-3)
    assert parity.comparisons[0].tolerance >= 2e-3


@pytest.mark.parametrize("tolerance", [0.0, -1e-3, 1.0, np.nan, np.inf, True, "1e-3"])
def test_an_invalid_tolerance_is_refused(perceptron: keras.Model, tolerance: Any, tmp_path: Path) -> None:
    for act in (
        lambda: to_onnx(perceptron, tmp_path / "m.onnx", tolerance=tolerance),
        lambda: to_tflite(perceptron, tmp_path / "m.tflite", tolerance=tolerance),
        lambda: export(perceptron, tmp_path / "m", tolerance=tolerance),
        lambda: verify(tmp_path, perceptron, tolerance=tolerance),
    ):
        with pytest.raises(ValueError, match="tolerance: expected a number above 0 and below 1"):
            act()
    assert not any(tmp_path.iterdir())


def test_a_release_records_its_tolerance_and_its_samples(perceptron: keras.Model, tmp_path: Path) -> None:
    release = export(perceptron, tmp_path / "r", ["onnx"], tolerance=2e-3)
    manifest = json.loads((release.path / "release.json").read_text())
    assert manifest["tolerance"] == release.tolerance == 2e-3
    assert all(entry["samples"] == ["uniform", "large", "zeros"] for entry in manifest["artifacts"])
    off = [weight * (1.0 + 1e-4) for weight in perceptron.get_weights()]
    other = keras.models.clone_model(perceptron)
    other.set_weights(off)
    verify(open_release(release.path), other)  # within what the release allows, and not within 1e-5
    assert export(perceptron, tmp_path / "r", []).tolerance is None
    with pytest.raises(ParityError):
        verify(tmp_path / "r", other)


def test_a_release_has_the_same_tflite_file_as_to_tflite_writes(tmp_path: Path) -> None:
    """Operators are replaced for TFLite in a graph of its own, which the release's SavedModel is not."""
    x = keras.Input((3,), name="x")
    model = keras.Model(x, layers.UnitNormalization()(x))
    release = export(model, tmp_path / "r", ["tflite"])
    alone = to_tflite(model, tmp_path / "alone.tflite")
    (released,) = (artifact for artifact in release.artifacts if artifact.format == "tflite")
    assert released.operators == alone.operators


class Faulty(layers.Layer):
    """A layer that returns other numbers while a file is written, like a converter's error."""

    scale = 1.0

    def call(self, x: Any) -> Any:
        return x * self.scale


def test_the_error_names_the_first_layer_that_differs(tmp_path: Path) -> None:
    x = keras.Input((4,), name="x")
    guilty = Faulty(name="guilty")
    hidden = guilty(layers.Dense(4, name="before")(x))
    model = keras.Model(x, layers.Dense(2, name="last")(layers.Activation("tanh", name="after")(hidden)))
    (signature,) = trace_endpoints(model).values()

    def write(signatures: Mapping[str, Signature], path: Path) -> None:
        guilty.scale = 1.1
        wrong = {name: trace_like(each, each.endpoint, each.samples) for name, each in signatures.items()}
        guilty.scale = 1.0
        write_saved_model(wrong, path)

    def fail(signatures: Mapping[str, Signature], path: Path) -> None:
        raise RuntimeError

    signatures = {"serving_default": signature}
    write(signatures, tmp_path / "m")
    runners = open_runners(tmp_path / "m", "saved_model")
    for writer, end in (
        (write, r"first layer whose output differs is 'guilty'\.$"),
        (fail, r"is allowed\.$"),
    ):
        blame = Divergence(signatures, "saved_model", writer, None, None)
        with pytest.raises(ParityError, match=end):
            check_parity(runners, signatures, "m", blame=blame)
