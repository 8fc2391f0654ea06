"""Smaller files that stay near the model's numbers."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_dl_export import load_artifact, to_onnx, to_tflite, verify

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
def test_a_quantised_file_is_smaller_and_near(
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
    # It really computes with less: the model's own numbers would be no quantisation.
    assert 1e-6 < error < most_error
    assert 1e-6 < artifact.max_abs_error < most_error
    assert verify(artifact, network, DATA).max_abs_error == pytest.approx(artifact.max_abs_error)


def test_representative_data_come_straight_from_a_pipeline(network: keras.Model, tmp_path: Path) -> None:
    pipeline = tf.data.Dataset.from_tensor_slices((DATA, np.zeros(40))).batch(16)
    from_pipeline = to_tflite(network, tmp_path / "a.tflite", quantize="int8", representative_data=pipeline)
    from_array = to_tflite(network, tmp_path / "b.tflite", quantize="int8", representative_data=DATA)
    assert from_pipeline.path.read_bytes() == from_array.path.read_bytes()


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
            "representative_data: int8, and only int8, is calibrated .* got none for",
        ),
        (to_tflite, {"representative_data": DATA}, "representative_data: .* got some for quantize=None"),
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
