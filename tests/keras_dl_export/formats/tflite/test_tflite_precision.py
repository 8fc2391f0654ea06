"""Models that compute in 16-bit floats or in Keras's own int8, as TFLite files."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from keras_dl_export import export, to_tflite


def network(dtype: str | None = None) -> keras.Model:
    image = keras.Input((9, 9, 3), name="image")
    h = layers.Conv2D(4, 3, padding="same", dtype=dtype)(image)
    h = layers.ReLU(dtype=dtype)(layers.BatchNormalization(dtype=dtype)(h))
    h = layers.GRU(4, dtype=dtype)(layers.Reshape((9, 36), dtype=dtype)(h))
    return keras.Model(image, layers.Dense(3, dtype=dtype)(h))


def images() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(4, 9, 9, 3)).astype(np.float32)


def run(path: Path, **inputs: Any) -> np.ndarray:
    (answer,) = Interpreter(str(path)).get_signature_runner()(**inputs).values()
    return np.asarray(answer)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_16_bit_models_compute_in_float32(dtype: str, tmp_path: Path) -> None:
    narrow, wide = network(dtype), network()
    wide.set_weights(narrow.get_weights())
    artifact = to_tflite(narrow, tmp_path / "model.tflite")
    answer = run(artifact.path, image=images())
    assert answer.dtype == narrow(images()[:1]).dtype.as_numpy_dtype
    # The file has the numbers of the same weights in float32, rounded once.
    np.testing.assert_allclose(
        answer.astype(np.float32), wide(images()), rtol=0.01 if "bf" in dtype else 1e-3, atol=1e-3
    )
    assert any("in float32" in note for note in artifact.notes)
    assert narrow.layers[1].compute_dtype in ("float16", "bfloat16")


def test_a_release_of_mixed_precision_has_every_format(tmp_path: Path) -> None:
    release = export(network("mixed_float16"), tmp_path / "mixed")
    assert [artifact.format for artifact in release.artifacts] == ["saved_model", "tflite", "onnx"]


def test_layers_quantized_by_keras_are_exact(tmp_path: Path) -> None:
    """The sums of 2,500 products of int8 exceed the integers that a float32 represents."""
    tokens = keras.Input((6, 50), name="tokens")
    h = layers.EinsumDense("btd,de->bte", (6, 8), bias_axes="e")(tokens)
    h = layers.Dense(2500, activation="relu")(layers.Flatten()(h))
    model = keras.Model(tokens, layers.Dense(3)(h))
    model.quantize("int8")
    x = np.random.default_rng(4).normal(size=(3, 6, 50)).astype(np.float32)
    answer = run(to_tflite(model, tmp_path / "model.tflite").path, tokens=x)
    np.testing.assert_allclose(answer, model(x), rtol=1e-6, atol=1e-6)


def test_the_product_of_int8_is_int32(tmp_path: Path) -> None:
    x = keras.Input((3000,), dtype="int8", name="x")
    weights = np.random.default_rng(1).integers(100, 127, (3000, 2)).astype(np.int8)

    class Product(layers.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.matmul(x, weights)

    values = np.full((2, 3000), 127, np.int8)
    answer = run(to_tflite(keras.Model(x, Product()(x)), tmp_path / "model.tflite").path, x=values)
    np.testing.assert_array_equal(answer, values.astype(np.int64) @ weights.astype(np.int64))
