"""The peers of the export benchmark compute the same function as the model."""

import keras
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from export_peers import keras_loop, native_gru

X = np.random.default_rng(0).normal(size=(1, 5, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    x = keras.Input((5, 3), name="x")
    model = keras.Model(x, keras.layers.GRU(4)(x))
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    return model


def test_the_handwritten_graph_matches_the_model(model, tmp_path):
    native_gru(model.layers[-1], 5, 3, tmp_path / "gru.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "gru.onnx"))
    x = np.concatenate([X, -X])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], model(x), atol=1e-6)


@pytest.mark.parametrize("batch", [None, 1])
def test_the_loop_of_keras_matches_the_model(model, batch, tmp_path):
    keras_loop(model, tmp_path / "loop.tflite", batch)
    interpreter = Interpreter(str(tmp_path / "loop.tflite"))
    runner = interpreter.get_signature_runner("serving_default")
    assert runner.get_input_details()["x"]["shape_signature"][0] == (batch or -1)
    assert "WHILE" in {operator["op_name"] for operator in interpreter._get_ops_details()}
    np.testing.assert_allclose(runner(x=X)["y"], model(X), atol=1e-6)
