"""Layers that are replaced while an endpoint is traced; the model itself stays unchanged."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from keras import layers

from keras_dl_export import ConversionError, load_artifact, to_onnx, to_saved_model
from keras_dl_export.lowering import Inexpressible, Recurrence, recurrent_layers

D, H = 3, 4


def over_sequence(call: Callable[[Any], Any], *, masked: bool = False) -> keras.Model:
    x = keras.Input((None, D), name="x")
    return disturb(keras.Model(x, call(layers.Masking(0.0)(x) if masked else x)))


def disturb(model: keras.Model) -> keras.Model:
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.uniform(-0.8, 0.8, weight.shape))
    return model


def draw(batch: int, time: int) -> np.ndarray:
    x = np.random.default_rng(batch).normal(size=(batch, time, D)).astype(np.float32)
    x[0, : time // 2] = 0.0
    return x


@pytest.mark.parametrize("write", [to_onnx, to_saved_model])
def test_time_distributed_over_an_unknown_time_is_refused(write: Any, tmp_path: Path) -> None:
    model = over_sequence(lambda x: layers.TimeDistributed(layers.Dense(2), name="each")(x))
    with pytest.raises(
        ConversionError, match="Keras traces 'each' wrongly, .* Give the input a fixed length"
    ):
        write(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_the_model_stays_unchanged(tmp_path: Path) -> None:
    model = over_sequence(lambda x: layers.Bidirectional(layers.LSTM(H, dropout=0.5))(x), masked=True)
    x = draw(3, 4)
    classes = (layers.RNN, layers.LSTM, layers.GRU, layers.SimpleRNN, layers.TimeDistributed)
    methods = [dict(vars(cls)) for cls in classes]
    expected, variables = model(x), [variable.numpy() for variable in model.variables]
    config = model.get_config()
    to_onnx(model, tmp_path / "model.onnx")
    assert [dict(vars(cls)) for cls in classes] == methods
    assert model.get_config() == config
    for variable, before in zip(model.variables, variables, strict=True):  # seeds of the dropout included
        np.testing.assert_array_equal(variable.value, before)
    np.testing.assert_array_equal(model(x), expected)
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((3, 2 * H)), verbose=0)


def test_a_stateful_layer_is_written_without_its_state(tmp_path: Path) -> None:
    class Remembering(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = layers.GRU(H, stateful=True, name="memory")

        @tf.function
        def call(self, x: Any) -> Any:
            return self.rnn(x)

    model, values = Remembering(), draw(2, 5)
    model.rnn.build(values.shape)
    model.built = True
    disturb(model)
    model.rnn.reset_state()
    artifact = to_onnx(model, tmp_path / "model.onnx", inputs=values)
    assert artifact.operators["GRU"] == 1
    assert [note.partition(":")[0] for note in artifact.notes] == ["memory"]
    expected = model(values)  # the first call after a reset
    session = onnxruntime.InferenceSession(str(artifact.path))
    for _ in range(2):
        np.testing.assert_allclose(session.run(None, {"x": values})[0], expected, rtol=1e-5, atol=1e-5)
    assert np.abs(model(values) - expected).max() > 1e-3  # the model goes on remembering


def test_other_threads_keep_keras_own_loop() -> None:
    """Another thread may train a model while an endpoint is traced."""
    model = over_sequence(lambda x: layers.GRU(H)(x))
    x = tf.constant(draw(2, 3))
    expected = model(x)
    lowered = []

    def emit(recurrence: Recurrence) -> Any:
        lowered.append(recurrence.layer_name)
        raise Inexpressible("nobody asked")

    with recurrent_layers(emit) as trace, ThreadPoolExecutor(1) as other:
        np.testing.assert_array_equal(other.submit(model, x).result(), expected)
        assert not lowered
        np.testing.assert_array_equal(model(x), expected)
    (layer,) = lowered
    assert trace.notes == [f"{layer}: it is a loop, which is slower, because nobody asked."]


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_the_functions_of_a_model_stay_unchanged(used: bool, tmp_path: Path) -> None:
    """Keras keeps their graphs: one of the target would break the model, one of the model the lowering."""

    class Compiled(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = layers.LSTM(H)

        @tf.function(reduce_retracing=True)
        def call(self, x: Any) -> Any:
            if tf.reduce_sum(x) > 1e6:  # autograph's to write
                x = x / 2.0
            return self.rnn(x)

    model = Compiled()
    model.rnn.build((None, None, D))
    model.built = True
    if used:
        model(draw(2, 5)), model(draw(3, 4))
    artifact = to_onnx(model, tmp_path / "model.onnx", inputs=draw(3, 4))
    assert artifact.operators["LSTM"] == 1
    (answer,) = onnxruntime.InferenceSession(str(artifact.path)).run(None, {"x": draw(2, 4)})
    np.testing.assert_allclose(model(draw(2, 4)), answer, rtol=1e-5, atol=1e-5)
    model(draw(2, 7))


def test_selection_and_order_in_a_lowered_graph(tmp_path: Path) -> None:
    """Check that tf.where ignores NaN of the other side, and that sequences are reversed along any axis."""

    class Turned(layers.Layer):
        def call(self, x: Any) -> Any:
            logs = tf.where(x > 0.0, tf.math.log(x), 0.0)
            return [logs, tf.reverse(x, [-1]), tf.reverse(tf.reverse(x, [1]), [0, 1])]

    model = over_sequence(Turned())
    runner = load_artifact(to_onnx(model, tmp_path / "model.onnx"))
    for batch, time in ((1, 6), (3, 4)):
        x = draw(batch, time)
        for answer, expected in zip(runner({"x": x}).values(), model(x), strict=True):
            np.testing.assert_allclose(answer, expected, rtol=1e-6, atol=1e-6)
