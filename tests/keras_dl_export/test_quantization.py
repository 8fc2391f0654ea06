"""Quantized files: smaller, and near the model's numbers."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_dl_export import (
    ConversionError,
    Release,
    export,
    load_artifact,
    open_release,
    to_onnx,
    to_tflite,
    verify,
)
from keras_dl_export.formats.saved_model.saved_model_warmup import read_warmup_requests

DATA = np.random.default_rng(5).random((40, 12, 12, 1), np.float32)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 1), name="image")
    x = layers.Flatten()(layers.Conv2D(16, 3, activation="relu")(image))
    return keras.Model(image, {"logits": layers.Dense(10)(layers.Dense(64, activation="relu")(x))})


@pytest.mark.parametrize(
    ("write", "quantize", "most_bytes", "most_error"),
    [
        (to_tflite, "float16", 0.55, 2e-3),
        (to_tflite, "dynamic", 0.3, 3e-2),
        (to_tflite, "int8", 0.3, 3e-2),
        (to_onnx, "float16", 0.55, 2e-3),
        (to_onnx, "int8", 0.3, 3e-2),
    ],
)
def test_a_quantized_file_is_smaller_and_near_the_model(
    network: keras.Model, tmp_path: Path, write: Any, quantize: str, most_bytes: float, most_error: float
) -> None:
    data = DATA if quantize == "int8" else None
    artifact = write(network, tmp_path / "model", quantize=quantize, representative_data=data, inputs=DATA)
    float32_bytes = 4 * network.count_params()
    assert artifact.quantize == quantize
    assert artifact.bytes < most_bytes * float32_bytes + 8000
    runner = load_artifact(artifact)
    assert (runner.inputs["image"].dtype, runner.outputs["logits"].dtype) == ("float32", "float32")
    expected = network(DATA)["logits"]
    error = float(np.max(np.abs(runner({"image": DATA})["logits"] - expected)))
    # It really computes with less: the model's own numbers would mean that nothing is quantized.
    assert 1e-6 < error < most_error
    assert 1e-6 < artifact.max_abs_error < most_error
    assert verify(artifact, network, DATA).max_abs_error == pytest.approx(artifact.max_abs_error)


def test_representative_data_may_be_a_pipeline(network: keras.Model, tmp_path: Path) -> None:
    pipeline = tf.data.Dataset.from_tensor_slices((DATA, np.zeros(40))).batch(16)
    from_pipeline = to_tflite(network, tmp_path / "a.tflite", quantize="int8", representative_data=pipeline)
    from_array = to_tflite(network, tmp_path / "b.tflite", quantize="int8", representative_data=DATA)
    assert from_pipeline.path.read_bytes() == from_array.path.read_bytes()


@pytest.fixture(scope="module")
def int8_release(vae: keras.Model, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Return a release whose representative data have no inputs for `decode`."""
    folder = tmp_path_factory.mktemp("releases") / "vae"
    before = [weight.numpy() for weight in vae.weights]
    release = export(
        vae, folder, quantize="int8", representative_data=tf.data.Dataset.from_tensors((images, [0] * 10))
    )
    for weight, value in zip(vae.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    return release


def test_endpoints_without_representative_data_stay_float_and_are_noted(int8_release: Release) -> None:
    artifacts = {path.path.name: path for path in open_release(int8_release.path).artifacts}
    note = "decode: the representative data do not contain its inputs, so its activations stay float32."
    kinds = {name: (artifact.quantize, artifact.notes) for name, artifact in artifacts.items()}
    assert kinds == {
        "1": (None, ()),
        "model.tflite": ("int8", (note,)),
        "serving_default.onnx": ("int8", ()),
        "encode.onnx": ("int8", ()),
        "decode.onnx": (None, (note,)),
    }
    assert "QuantizeLinear" in artifacts["encode.onnx"].operators
    assert "QuantizeLinear" not in artifacts["decode.onnx"].operators
    assert "QUANTIZE" in artifacts["model.tflite"].operators
    # Calibrated files are compared where they are right, on what they were calibrated with.
    assert {c.inputs for c in artifacts["encode.onnx"].parity.comparisons} == {"real"}
    assert set(artifacts["decode.onnx"].parity.kinds) == {"uniform", "large", "zeros"}


def test_every_file_of_a_quantized_release_is_near_the_model(
    int8_release: Release, vae: keras.Model, images: np.ndarray
) -> None:
    expected = vae.encode(images)["mean"]
    for format in ("tflite", "onnx"):
        runner = load_artifact(int8_release.path, "encode", format=format)
        assert 1e-6 < np.max(np.abs(runner({"image": images})["mean"] - expected)) < 0.1
    assert verify(int8_release.path, vae, images).max_abs_error < 0.1
    # Without any, the release's own examples are compared on: drawn ones are not what it was calibrated for.
    assert {c.inputs for c in verify(int8_release.path).comparisons if c.endpoint == "encode"} >= {"real"}
    np.testing.assert_array_equal(read_warmup_requests(int8_release.path)["image"], images[:1])


def test_integer_inputs_and_outputs_follow_their_scales(network: keras.Model, tmp_path: Path) -> None:
    image = keras.Input((12, 12, 1), name="image")
    logits = network(image)["logits"]
    model = keras.Model(image, {"logits": logits, "class": keras.ops.argmax(logits, axis=-1)})
    options = {"quantize": "int8", "representative_data": DATA}
    floats = load_artifact(to_tflite(model, tmp_path / "floats.tflite", **options))
    artifact = to_tflite(model, tmp_path / "integers.tflite", integer_io=True, **options)
    runner = load_artifact(artifact)
    assert (runner.inputs["image"].dtype, runner.outputs["logits"].dtype) == ("int8", "int8")
    assert runner.outputs["class"].dtype == floats.outputs["class"].dtype
    assert set(runner.input_scales) == {"image"}
    assert set(runner.output_scales) == {"logits"}

    scale = runner.input_scales["image"]
    integers = np.clip(np.rint(DATA / scale.scale) + scale.zero_point, -128, 127).astype(np.int8)
    np.testing.assert_array_equal(scale.quantize(DATA), integers)
    raw = runner({"image": integers})
    assert raw["logits"].dtype == np.int8
    scale = runner.output_scales["logits"]
    meant = (raw["logits"].astype(np.float64) - scale.zero_point) * scale.scale
    np.testing.assert_allclose(meant, floats({"image": DATA})["logits"], atol=1.01 * scale.scale)
    np.testing.assert_allclose(runner.call_in_floats({"image": DATA})["logits"], meant, rtol=1e-6)
    assert verify(artifact, model, DATA).max_abs_error == pytest.approx(artifact.max_abs_error)
    with pytest.raises(TypeError, match=r"inputs\['image'\]: expected dtype int8, got float32"):
        runner({"image": DATA})


@pytest.mark.parametrize(
    ("layer", "form"),
    [
        (layers.LSTM, "node"),
        (layers.SimpleRNN, "node"),
        (layers.GRU, "bidirectional"),
        (layers.GRU, "loop"),
    ],
)
def test_recurrent_weights_of_onnx_take_8_bits_each(tmp_path: Path, layer: Any, form: str) -> None:
    import onnx

    keras.utils.set_random_seed(0)
    cell = layer(24, activation="softplus" if form == "loop" else "tanh")  # ONNX's nodes know no softplus
    cell = layers.Bidirectional(cell) if form == "bidirectional" else cell
    model = keras.Sequential([keras.Input((6, 16), name="x"), cell, layers.Dense(3)])
    data = np.random.default_rng(0).random((20, 6, 16), np.float32)
    exact = to_onnx(model, tmp_path / "exact.onnx", inputs=data)
    small = to_onnx(model, tmp_path / "small.onnx", quantize="int8", representative_data=data)
    assert exact.bytes - small.bytes > 0.7 * 4 * model.count_params() - 2500  # less the nodes that quantize
    written = onnx.load(small.path).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in written.initializer}
    casts = {node.output[0]: arrays.get(node.input[0]) for node in written.node if node.op_type == "Cast"}
    scaled = [
        (casts[node.input[0]], arrays[node.input[1]])
        for node in written.node
        if node.op_type == "Mul" and casts.get(node.input[0]) is not None
    ]
    assert len(scaled) == (4 if form == "bidirectional" else 2)
    # Each is one of the model's kernels, rounded: at most half a step of the channel away.
    kernels = [(weight.shape, np.sort(weight.numpy().ravel())) for weight in model.layers[0].weights]
    for integers, scale in scaled:
        assert integers.dtype == np.int8
        meant = np.sort((integers * scale).ravel())
        alike = [kernel for shape, kernel in kernels if sorted(shape) == sorted(np.squeeze(integers).shape)]
        assert min(float(np.max(np.abs(meant - kernel))) for kernel in alike) <= 0.51 * scale.max()
    assert 1e-7 < small.max_abs_error < 0.05


@pytest.mark.parametrize(
    ("quantize", "formats", "message"),
    [
        ("int4", ("tflite", "onnx"), "quantize: expected None or one of .* for tflite, got 'int4'"),
        (
            "float16",
            ("saved_model",),
            "quantize: expected None for a SavedModel alone, got 'float16'. Add 'tflite'",
        ),
        (
            {"saved_model": "float16"},
            ("onnx",),
            "quantize: expected quantizations of onnx, got one of 'saved_",
        ),
        ({"tflite": "float16"}, ("onnx",), "quantize: expected quantizations of onnx, got one of 'tflite'"),
        ({"onnx": "dynamic"}, ("onnx",), "one of 'float16', 'int8' for onnx, got 'dynamic'"),
        ("int8", ("onnx",), "representative_data: expected real inputs with quantize='int8', got None"),
    ],
)
def test_a_release_refuses_unsupported_quantizations(
    network: keras.Model, tmp_path: Path, quantize: Any, formats: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        export(network, tmp_path / "release", formats, quantize=quantize)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_models_are_exported_to_onnx_or_refused_with_the_remedy(
    tmp_path: Path, policy: str
) -> None:
    dense = layers.Dense(3, dtype=policy)
    model = keras.Sequential([keras.Input((4,), name="x"), dense])
    data = np.random.default_rng(0).random((3, 4), np.float32)
    if policy == "mixed_float16":
        runner = load_artifact(to_onnx(model, tmp_path / "model.onnx"))
        (kernel, bias), answer = dense.get_weights(), runner({"x": data})["output"]
        assert answer.dtype == np.float16
        np.testing.assert_allclose(answer, data @ kernel + bias, atol=4e-3)
        return
    with pytest.raises(
        ConversionError, match=r"computes in bfloat16, .*set_dtype_policy\('float32'\) or 'mixed_fl"
    ):
        to_onnx(model, tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("write", "arguments", "message"),
    [
        (
            to_tflite,
            {"quantize": "int4"},
            "quantize: expected None or one of 'float16', 'dynamic', 'int8' for tflite",
        ),
        (
            to_onnx,
            {"quantize": "dynamic"},
            "quantize: expected None or one of 'float16', 'int8' for onnx, got 'dyn",
        ),
        (
            to_onnx,
            {"quantize": "int8"},
            "representative_data: expected real inputs with quantize=.int8., got None",
        ),
        (to_tflite, {"representative_data": DATA}, "representative_data: expected None with quantize=None"),
        (
            to_tflite,
            {"quantize": "int8", "representative_data": []},
            "expected at least one example, got none",
        ),
        (
            to_onnx,
            {"quantize": "int8", "representative_data": DATA[:, :5]},
            r"representative_data\['image'\]: expected shape \(batch, 12, 12, 1\), got \(40, 5, 12, 1\)",
        ),
        (
            to_tflite,
            {"quantize": "dynamic", "integer_io": True},
            "integer_io: expected quantize='int8' with it, got quantize='dynamic'",
        ),
        (
            to_onnx,
            {"quantize": "int8", "representative_data": {"picture": DATA}},
            "representative_data: expected image, got no image",
        ),
    ],
)
def test_wrong_arguments_are_refused(
    network: keras.Model, tmp_path: Path, write: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write(network, tmp_path / "model", **arguments)
    assert not any(tmp_path.iterdir())
