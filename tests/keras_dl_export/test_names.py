"""Names of inputs, outputs and layers, in all formats and for all callers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from keras import layers

from keras_dl_export import load_artifact, to_onnx, to_saved_model, to_tflite, verify
from keras_dl_export.names import as_words, by_word, in_graph
from keras_dl_serving import Signature, TensorSpec
from keras_dl_serving.client.inputs import prepare

WRITERS = [(to_saved_model, "saved"), (to_tflite, "model.tflite"), (to_onnx, "model.onnx")]
writers = pytest.mark.parametrize(("write", "file"), WRITERS, ids=["saved_model", "tflite", "onnx"])


def _weighted(*names: str) -> tuple[keras.Model, dict[str, Any], Any]:
    """Return a model that multiplies each input by its own factor, with inputs and outputs."""
    tensors = [keras.Input((3,), name=name) for name in names]
    total = sum(tensor * float(10**place) for place, tensor in enumerate(tensors))
    arrays = {name: np.full((2, 3), place + 1.0, np.float32) for place, name in enumerate(names)}
    answer = sum(array * 10**place for place, array in enumerate(arrays.values()))
    return keras.Model(tensors, total), arrays, answer


@writers
@pytest.mark.parametrize(
    "names",
    [
        ("in", "self", "class", "lambda"),
        ("in", "in_"),
        ("\u540d\u524d", "stra\u00dfe", "gr\u00f6\u00dfe"),
        ("x", "X"),
        ("_x", "inputs", "endpoint", "name"),
        ("1st", "my-x", "a.b"),
        ("\U0001f600", "x"),
    ],
    ids=lambda names: ascii(names[0]).strip("'\\"),
)
def test_inputs_of_any_name(
    names: tuple[str, ...], write: Callable[..., Any], file: str, tmp_path: Path
) -> None:
    model, arrays, answer = _weighted(*names)
    artifact = write(model, tmp_path / file, inputs=arrays)
    runner = load_artifact(tmp_path / file)
    assert set(runner.inputs) == set(as_words(names))
    np.testing.assert_allclose(runner(arrays)["output"], answer)  # by the model's own names
    by_file = dict(zip(as_words(names), arrays.values(), strict=True))
    np.testing.assert_allclose(runner(by_file)["output"], answer)
    verify(artifact, model, arrays)


def test_other_programs_use_the_names_of_the_model(tmp_path: Path) -> None:
    model, arrays, answer = _weighted("in", "\u540d\u524d")
    for write, file in WRITERS:
        write(model, tmp_path / file)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    np.testing.assert_allclose(session.run(None, arrays)[0], answer)
    runner = tf.lite.Interpreter(str(tmp_path / "model.tflite")).get_signature_runner("serving_default")
    np.testing.assert_allclose(runner(**arrays)["output"], answer)
    graph = tf.Graph()
    with tf.compat.v1.Session(graph=graph) as session:  # as TensorFlow Serving does
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path / "saved"))
        signature = loaded.signature_def["serving_default"]
        feed = {signature.inputs[name].name: array for name, array in arrays.items()}
        np.testing.assert_allclose(session.run(signature.outputs["output"].name, feed), answer)
    # A Python function has no parameter `in`.
    function = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    tensors = {"in_": tf.constant(arrays["in"]), "\u540d\u524d": tf.constant(arrays["\u540d\u524d"])}
    np.testing.assert_allclose(function(**tensors)["output"], answer)


@writers
def test_names_that_collide_are_distinguished(write: Callable[..., Any], file: str, tmp_path: Path) -> None:
    model, arrays, answer = _weighted("a-b", "a_b")
    write(model, tmp_path / file)
    runner = load_artifact(tmp_path / file)
    words = dict(zip(("a_b", "a_b_"), arrays.values(), strict=True))
    np.testing.assert_allclose(runner(words)["output"], answer)
    with pytest.raises(ValueError, match=r"inputs.*a_b, a_b_.*a-b"):
        runner(arrays)  # which of the two `a_b` is, only the words tell


@writers
def test_layers_and_outputs_of_any_name(write: Callable[..., Any], file: str, tmp_path: Path) -> None:
    x = keras.Input((3,), name="x")
    outputs = {
        "in": layers.Dense(2, name="stra\u00dfe")(x),
        "\u540d\u524d": layers.Dense(2, name="my layer")(x),
        "self": layers.Dense(2, name="_x")(x),
        "a b": layers.Dense(2, name="\U0001f600")(x),
    }
    model = keras.Model(x, outputs, name="Modell \u00fc")
    write(model, tmp_path / file)
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = load_artifact(tmp_path / file)({"x": values})
    expected = {as_words([name])[0]: answer for name, answer in model(values).items()}
    assert set(found) == set(expected) == {"in", "\u540d\u524d", "self", "a_b"}
    for name, answer in expected.items():
        np.testing.assert_allclose(found[name], answer, rtol=1e-5)


def test_the_client_accepts_the_names_of_the_model() -> None:
    spec = TensorSpec((None,), "float32")
    sent = prepare({"my-x": [1.0], "in": [2.0]}, Signature({"my_x": spec, "in": spec}, {}))
    assert {name: array.tolist() for name, array in sent.items()} == {"my_x": [1.0], "in": [2.0]}


def test_words() -> None:
    assert as_words(["a-b", "a_b", "1st", "in", "\u540d\u524d"]) == [
        "a_b",
        "a_b_",
        "_1st",
        "in",
        "\u540d\u524d",
    ]
    assert by_word({"a-b": 1, "c": {"d": 2}, "e": 3}, {"a_b", "c_d"}) == {"a_b": 1, "c_d": 2, "e": 3}
    assert by_word({"a-b": 1, "a b": 2}, {"a_b", "a_b_"}) == {"a-b": 1, "a b": 2}


def test_names_in_a_graph_are_in_the_order_of_the_parameters() -> None:
    assert in_graph(["b", "a"]) == {"b": "b", "a": "a"}
    assert in_graph(["\u540d\u524d", "in", "a"]) == {
        "a": "input_000",
        "in": "input_001",
        "\u540d\u524d": "input_002",
    }
