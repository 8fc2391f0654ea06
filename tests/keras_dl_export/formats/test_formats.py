"""Each format in its stock runtime, against the Keras model."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from keras_dl_export import (
    Artifact,
    ConversionError,
    ReleaseError,
    export,
    load_artifact,
    to_onnx,
    to_saved_model,
    to_tflite,
    verify,
)

Run = Callable[[Path, dict[str, np.ndarray]], dict[str, np.ndarray]]
RANDOM = np.random.default_rng(11)


def run_saved_model(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    outputs = signature(**{name: tf.constant(array) for name, array in inputs.items()})
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def run_tflite(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return Interpreter(str(path)).get_signature_runner("serving_default")(**inputs)


def run_onnx(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path))
    return dict(
        zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True)
    )


def classifier() -> tuple[keras.Model, dict[str, np.ndarray]]:
    image = keras.Input((8, 8, 3), dtype="uint8", name="image")
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(image))
    logits = layers.Dense(5)(layers.Flatten()(layers.BatchNormalization()(x)))
    outputs = {
        "logits": logits,
        "probabilities": keras.ops.softmax(logits),
        "class": keras.ops.argmax(logits, -1),
    }
    return keras.Model({"image": image}, outputs), {
        "image": RANDOM.integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    }


def text_classifier() -> tuple[keras.Model, dict[str, np.ndarray]]:
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(50, 8)(tokens))
    model = keras.Model(tokens, layers.Dense(2)(layers.LayerNormalization()(x)))
    return model, {"tokens": RANDOM.integers(0, 50, (4, 7)).astype(np.int32)}


def two_towers() -> tuple[keras.Model, dict[str, np.ndarray]]:
    user = keras.Input((1,), dtype="int64", name="user")
    features = keras.Input((6,), name="features")
    x = layers.Flatten()(layers.Embedding(9, 4)(user)) * layers.Dense(4, activation="gelu")(features)
    model = keras.Model({"user": user, "features": features}, {"score": layers.Dense(1)(x), "user": user + 1})
    return model, {"user": np.array([[3], [8]]), "features": RANDOM.normal(size=(2, 6)).astype(np.float32)}


def attention() -> tuple[keras.Model, dict[str, np.ndarray]]:
    x = keras.Input((None, 8), name="x")
    model = keras.Model(x, layers.MultiHeadAttention(2, 4)(x, x))
    return model, {"x": RANDOM.normal(size=(2, 6, 8)).astype(np.float32)}


@pytest.fixture(scope="module", params=[classifier, text_classifier, two_towers, attention])
def released(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    model, inputs = request.param()
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).uniform(0.1, 0.5, weight.shape))
    outputs = model(
        inputs if isinstance(model.input, dict | list) else next(iter(inputs.values())), training=False
    )
    outputs = outputs if isinstance(outputs, dict) else {"output": outputs}
    release = export(model, tmp_path_factory.mktemp("releases") / request.param.__name__, inputs=inputs)
    return release, inputs, {name: np.asarray(value) for name, value in outputs.items()}


@pytest.mark.parametrize(
    ("format", "file", "run"),
    [
        ("saved_model", "", run_saved_model),
        ("tflite", "model.tflite", run_tflite),
        ("onnx", "onnx/serving_default.onnx", run_onnx),
    ],
    ids=["saved_model", "tflite", "onnx"],
)
def test_the_stock_runtime_matches_the_model(released: Any, format: str, file: str, run: Run) -> None:
    release, inputs, expected = released
    # `two_towers` has an input and an output `user`; an ONNX graph has the name once, for the output.
    renamed = {"user": "user_input"} if format == "onnx" and "user" in expected else {}
    for batch in (slice(0, 1), slice(None)):
        given = {renamed.get(name, name): array[batch] for name, array in inputs.items()}
        answer = run(release.path / file, given)
        assert set(answer) == set(expected)
        for name, array in answer.items():
            assert array.dtype == expected[name].dtype
            np.testing.assert_allclose(array, expected[name][batch], rtol=1e-4, atol=1e-5)
    for name, array in load_artifact(release, format=format)(inputs).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-5)
    (artifact,) = (artifact for artifact in release.artifacts if artifact.format == format)
    assert artifact.max_abs_error <= 1e-4
    assert {comparison.batch_size for comparison in artifact.parity.comparisons} == {1, 3}


def test_a_file_holds_the_requested_endpoint(vae: keras.Model, tmp_path: Path, answer: Any) -> None:
    z = np.array([[0.5, -1.0]], np.float32)
    expected = answer(vae.decode, z=z)["image"]
    for artifact in (
        to_tflite(vae, tmp_path / "decode.tflite", endpoint="decode"),
        to_onnx(vae, tmp_path / "decode.onnx", endpoint="decode"),
    ):
        assert artifact.endpoints == ("decode",)
        runner = load_artifact(artifact)
        assert runner.endpoint == "decode"
        np.testing.assert_allclose(runner({"z": z})["image"], expected, atol=1e-6)
        assert verify(artifact, vae).max_abs_error == artifact.max_abs_error


def test_a_loaded_keras_file_exports(
    vae: keras.Model, images: np.ndarray, tmp_path: Path, answer: Any
) -> None:
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    expected = answer(vae.encode, image=images)["mean"]
    for artifact in (
        to_onnx(loaded, tmp_path / "vae.onnx", endpoint="encode"),
        to_saved_model(loaded, tmp_path / "v"),
    ):
        np.testing.assert_allclose(
            load_artifact(artifact, endpoint="encode")({"image": images})["mean"], expected, atol=1e-5
        )


def test_onnx_names_are_the_endpoints_own(vae: keras.Model, tmp_path: Path) -> None:
    written = onnx.load(to_onnx(vae, tmp_path / "vae.onnx", opset=17).path)
    onnx.checker.check_model(written, full_check=True)
    assert [imported.version for imported in written.opset_import if imported.domain == ""] == [17]
    (given,), (made,) = written.graph.input, written.graph.output
    # Both are `image` in the endpoint; an ONNX graph has the name once, for the output.
    assert (given.name, made.name) == ("image_input", "image")
    assert [axis.dim_param or axis.dim_value for axis in given.type.tensor_type.shape.dim] == [
        "batch",
        8,
        8,
        1,
    ]
    runner = load_artifact(tmp_path / "vae.onnx")
    assert set(runner.inputs) == set(runner.outputs) == {"image"}
    assert b"unk__" not in (tmp_path / "vae.onnx").read_bytes()


def test_operators_are_counted(perceptron: keras.Model, tmp_path: Path) -> None:
    # Two dense layers around one normalization, whatever the converters fuse.
    assert to_saved_model(perceptron, tmp_path / "folder").operators["MatMul"] == 2
    assert to_tflite(perceptron, tmp_path / "model.tflite").operators["FULLY_CONNECTED"] == 2
    nodes = to_onnx(perceptron, tmp_path / "model.onnx").operators
    assert nodes.get("MatMul", 0) + nodes.get("Gemm", 0) == 2


def test_a_file_holds_its_own_weights(perceptron: keras.Model, tmp_path: Path) -> None:
    """Load the file into a module without the model: no variable is missing or uninitialized."""
    to_saved_model(perceptron, tmp_path / "folder")
    loaded = tf.saved_model.load(str(tmp_path / "folder"))
    saved = sorted(
        float(tf.reduce_sum(variable)) for variable in loaded.signatures["serving_default"].variables
    )
    expected = sorted(float(keras.ops.sum(weight)) for weight in perceptron.weights)
    np.testing.assert_allclose(saved, expected, rtol=1e-6)


def test_strings_are_supported_by_saved_models_alone(tmp_path: Path) -> None:
    word = keras.Input((), dtype="string", name="word")
    model = keras.Model(
        word, layers.Embedding(5, 2)(layers.StringLookup(vocabulary=["deep", "learning"])(word))
    )
    words = np.array(["learning", "never seen"])
    answer = load_artifact(to_saved_model(model, tmp_path / "folder"))({"word": words})
    np.testing.assert_array_equal(answer["output"], model(tf.constant(words)))
    for write in (to_tflite, to_onnx):
        with pytest.raises(ConversionError, match="strings in 'word', which only a SavedModel supports"):
            write(model, tmp_path / "model.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


class Gamma(layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.math.igamma(1.0 + tf.abs(x), x)


def test_an_operator_that_a_format_lacks_is_named_with_its_layer(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,), name="x"), Gamma(name="incomplete")])
    to_saved_model(model, tmp_path / "folder")
    with pytest.raises(
        ConversionError, match=r"tflite: .* cannot express Igamma in '.*incomplete.*'\. Build the layer"
    ):
        to_tflite(model, tmp_path / "model.tflite")
    with pytest.raises(
        ConversionError, match=r"onnx: .* does not have: Igamma in '.*incomplete.*'\. Build the layer"
    ):
        to_onnx(model, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_images_of_any_size(tmp_path: Path) -> None:
    """TFLite assumes size 1 for a dynamic axis until it is resized; the file does not match that size."""
    image = keras.Input((None, None, 3), name="image")
    model = keras.Model(image, layers.GlobalMaxPooling2D()(layers.Conv2D(4, 5, padding="valid")(image)))
    inputs = {"image": RANDOM.random((2, 9, 11, 3)).astype(np.float32)}
    for artifact in (to_tflite(model, tmp_path / "m.tflite"), to_onnx(model, tmp_path / "m.onnx")):
        answer = load_artifact(artifact)(inputs)["output"]
        np.testing.assert_allclose(answer, model(inputs["image"]), rtol=1e-4, atol=1e-5)


def test_an_existing_file_is_replaced_and_other_things_are_not(
    perceptron: keras.Model, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_text("old")
    to_onnx(perceptron, tmp_path / "model.onnx")
    to_saved_model(perceptron, tmp_path / "folder")
    again: Artifact = to_saved_model(perceptron, tmp_path / "folder")
    assert verify(again, perceptron).max_abs_error == 0.0
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("years of work")
    with pytest.raises(
        ValueError, match="folder: expected a new folder or a SavedModel to replace, got .*notes"
    ):
        to_saved_model(perceptron, tmp_path / "notes")
    with pytest.raises(ValueError, match="path: expected the name of a file, got the folder .*notes"):
        to_onnx(perceptron, tmp_path / "notes")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "model.onnx", "notes"]


@pytest.mark.parametrize("opset", [12, 19, "18"])
def test_other_opsets_are_refused(perceptron: keras.Model, tmp_path: Path, opset: Any) -> None:
    with pytest.raises(ValueError, match=f"opset: expected 13 to 18, got {opset!r}"):
        to_onnx(perceptron, tmp_path / "model.onnx", opset=opset)


@pytest.mark.parametrize("write", [to_saved_model, to_tflite, to_onnx, export])
def test_an_unwritable_path_is_named(write: Any, perceptron: keras.Model, tmp_path: Path) -> None:
    """A folder below a file, and one of the kernel's, cannot be created by any user."""
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path / "file", Path("/proc/models")):
        with pytest.raises(ReleaseError, match=f"{folder}.*: expected a writable folder, got "):
            write(perceptron, folder / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


CHILD = """
import os, resource, signal, sys
import keras
from keras_dl_export import ReleaseError, export, to_onnx, to_saved_model, to_tflite
from keras_dl_export import writing

model = keras.Sequential([keras.Input((400,), name="x"), keras.layers.Dense(300)])
writers = {"m.onnx": to_onnx, "m.tflite": to_tflite, "m": to_saved_model, "r": export}
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails, as on a full disk
for name, write in writers.items():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, unlimited[1]))  # the weights take 480 kB
    try:
        write(model, os.path.join(sys.argv[1], name))
    except ReleaseError as error:
        print(name, error, os.listdir(sys.argv[1]), flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
print("in use:", [round(float(value), 6) for value in model(keras.ops.zeros((1, 400)))[0][:2]], flush=True)

def wait(*arguments, **named):
    print("written", flush=True)
    sys.stdin.read()  # until killed

writing.check_written_file = wait
to_onnx(model, os.path.join(sys.argv[1], "m.onnx"))
"""


@pytest.mark.slow
def test_a_full_disk_or_a_kill_leaves_no_file(perceptron: keras.Model, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as child:
        assert child.stdout is not None
        for name, folder in (("m.onnx", ""), ("m.tflite", ""), ("m", ""), ("r", "/r")):
            assert (
                child.stdout.readline() == f"{name} {tmp_path}{folder}: writing failed: File too large. []\n"
            )
        assert child.stdout.readline() == "in use: [0.0, 0.0]\n"
        assert child.stdout.readline() == "written\n"
        (staged,) = tmp_path.iterdir()
        assert (staged / "m.onnx").stat().st_size > 480_000
        child.send_signal(signal.SIGKILL)
    assert [path.name for path in tmp_path.iterdir()] == [staged.name], "nothing under the file's own name"
    to_onnx(perceptron, tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"], "the next export clears up"
