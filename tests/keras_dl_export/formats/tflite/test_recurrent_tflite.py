"""Recurrent layers as TFLite's builtin operators, in the stock interpreter, against the Keras model itself.

The parity check of `to_tflite` is not trusted here: the files are run by `ai_edge_litert` alone.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from keras import layers

import keras_dl.layers
from keras_dl_export import Artifact, ConversionError, export, load_artifact, to_tflite, verify
from keras_dl_export.formats.tflite import tflite_recurrent, tflite_steps
from keras_dl_export.tracing import trace_endpoints

pytestmark = pytest.mark.slow

Inputs = Mapping[str, np.ndarray]


@keras.saving.register_keras_serializable("keras_dl_export_tests")
class Holes(layers.Layer):
    """A layer that masks the steps whose first feature is negative, wherever they are."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x: Any) -> Any:
        return x

    def compute_mask(self, x: Any, previous: Any = None) -> Any:
        return x[..., 0] >= 0


@keras.saving.register_keras_serializable("keras_dl_export_tests")
class CountingCell(layers.Layer):
    """A custom cell: two states of different sizes, and an output that is neither."""

    state_size = (3, 1)
    output_size = 4

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(shape=(input_shape[-1], 3), name="kernel")

    def call(self, x: Any, states: Any) -> Any:
        h = keras.ops.relu(keras.ops.matmul(x, self.kernel) - 0.5 * states[0])
        count = states[1] + keras.ops.mean(x, -1, keepdims=True)
        return keras.ops.concatenate([h, count], -1), [h, count]


def chain(time: int | None, *stack: Any) -> keras.Model:
    x = keras.Input((time, 3), name="x")
    y = x
    for layer in stack:
        y = layer(y)
    return keras.Model(x, y)


def seq2seq(time: int | None) -> keras.Model:
    source, target = keras.Input((time, 3), name="source"), keras.Input((time, 2), name="target")
    _, h, C = layers.LSTM(4, return_state=True)(source)
    y = layers.LSTM(4, return_sequences=True)(target, initial_state=[h, C])
    # Masked from a given state: what comes out before the first valid step is zero, not that state.
    y = layers.GRU(4, return_sequences=True)(Holes()(y), initial_state=h)
    return keras.Model({"source": source, "target": target}, y)


def embedded(time: int | None) -> keras.Model:
    tokens = keras.Input((time,), dtype="int32", name="tokens")
    x = layers.Embedding(9, 4, mask_zero=True)(tokens)
    return keras.Model(tokens, layers.LSTM(3)(layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)))


MODELS: dict[str, Callable[[int | None], keras.Model]] = {
    "lstm": lambda time: chain(time, layers.LSTM(4)),
    "gru, simple rnn": lambda time: chain(
        time, layers.GRU(4, return_sequences=True), layers.SimpleRNN(3, return_sequences=True)
    ),
    "gru reset before, no bias": lambda time: chain(
        time, layers.GRU(4, reset_after=False, return_sequences=True), layers.GRU(4, use_bias=False)
    ),
    "odd activations": lambda time: chain(
        time,
        layers.LSTM(4, activation="silu", recurrent_activation="hard_sigmoid", return_sequences=True),
        layers.SimpleRNN(4, activation="leaky_relu", use_bias=False),
    ),
    "holes, backwards, states": lambda time: chain(
        time, Holes(), layers.LSTM(4, return_sequences=True, go_backwards=True, return_state=True)
    ),
    "holes, zero outputs": lambda time: chain(
        time, Holes(), layers.GRU(4, return_sequences=True, zero_output_for_mask=True)
    ),
    "holes, last output": lambda time: chain(time, Holes(), layers.GRU(4, reset_after=False)),
    "bidirectional": lambda time: chain(
        time,
        layers.Bidirectional(layers.LSTM(2, return_sequences=True), merge_mode="mul"),
        Holes(),
        layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True), merge_mode="ave"),
        layers.Bidirectional(layers.GRU(2, return_sequences=True), merge_mode="sum"),
        layers.Bidirectional(layers.LSTM(2), merge_mode=None),
    ),
    "stacked cells": lambda time: chain(
        time,
        layers.RNN(
            [layers.LSTMCell(4), layers.GRUCell(3), layers.SimpleRNNCell(2)],
            return_sequences=True,
            return_state=True,
        ),
    ),
    "custom cells": lambda time: chain(
        time,
        Holes(),
        layers.RNN(CountingCell(), return_sequences=True, go_backwards=True),
        Holes(),
        layers.RNN([CountingCell(), layers.LSTMCell(2)], return_state=True),
    ),
    "seq2seq": seq2seq,
    "embedded": embedded,
    "keras_dl layers": lambda time: chain(
        time,
        keras_dl.layers.VanillaRNN(4, output_units=3, return_sequences=True),
        keras_dl.layers.LSTM(3, return_sequences=True),
        keras_dl.layers.GRU(3),
    ),
    "keras_dl cells": lambda time: chain(
        time,
        layers.RNN(keras_dl.layers.VanillaRNNCell(4, 3), return_sequences=True),
        layers.RNN([keras_dl.layers.LSTMCell(3), keras_dl.layers.GRUCell(2)]),
    ),
}


def disturbed(model: keras.Model) -> keras.Model:
    random = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.5, weight.shape))
    return model


def draw(model: keras.Model, batch: int, time: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(batch + time)
    if model.inputs[0].dtype == "int32":  # 0 is masked, also where the sequence begins
        return {model.inputs[0].name: random.integers(0, 3, (batch, time)).astype(np.int32)}
    return {
        tensor.name: random.normal(size=(batch, time, tensor.shape[-1])).astype(np.float32)
        for tensor in model.inputs
    }


def ask_keras(model: keras.Model, inputs: Inputs) -> list[np.ndarray]:
    outputs = model(dict(inputs) if isinstance(model.input, dict) else next(iter(inputs.values())))
    return [np.asarray(output) for output in keras.tree.flatten(outputs)]


def ask_stock(runner: Any, inputs: Inputs, names: list[str]) -> list[np.ndarray]:
    outputs = runner(**inputs)
    return [outputs[name].copy() for name in names]


def operators_of(path: Path) -> set[str]:
    """Return the operators by name; fail for those that the stock interpreter does not have."""
    written = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    used = {names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in written.operatorCodes}
    assert "CUSTOM" not in used
    assert not any(code.customCode for code in written.operatorCodes)
    return used


@pytest.mark.parametrize("time", [6, None], ids=["fixed time", "any time"])
@pytest.mark.parametrize("kind", MODELS)
def test_every_recurrent_layer_at_every_size(
    kind: str, time: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tflite_steps, "_CHUNK", 3)  # so that lengths around its multiples are short ones
    model = disturbed(MODELS[kind](time))
    before = model.get_weights()
    artifact = to_tflite(model, tmp_path / "model.tflite")
    assert ("WHILE" in operators_of(artifact.path)) == (time is None)
    assert artifact.notes == ()
    runner = Interpreter(str(artifact.path)).get_signature_runner("serving_default")
    names = list(load_artifact(artifact).outputs)
    for batch, length in ((1, 6), (3, 6), (2, 7), (2, 1), (1, 12)):
        if time in (None, length):
            inputs = draw(model, batch, length)
            expected = ask_keras(model, inputs)
            first = ask_stock(runner, inputs, names)
            for got, again, wanted in zip(first, ask_stock(runner, inputs, names), expected, strict=True):
                np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6)
                np.testing.assert_array_equal(got, again)  # nothing is kept from the call before
    for kept, weight in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weight)


def test_layers_over_images_and_over_sequences_of_sequences(tmp_path: Path) -> None:
    clips = keras.Input((3, 5, 5, 1), name="x")
    of_images = keras.Model(clips, layers.ConvLSTM2D(2, 3, return_sequences=True)(clips))
    texts = keras.Input((3, 4, 2), name="x")
    of_texts = keras.Model(texts, layers.GRU(2)(layers.TimeDistributed(layers.LSTM(3))(texts)))
    for model in (of_images, of_texts):
        disturbed(model)
        path = to_tflite(model, tmp_path / "model.tflite").path
        x = np.random.default_rng(0).normal(size=(2, *model.inputs[0].shape[1:])).astype(np.float32)
        got = Interpreter(str(path)).get_signature_runner("serving_default")(x=x)["output"]
        assert operators_of(path)
        np.testing.assert_allclose(got, model(x), atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "time", "written_out"),
    [
        (layers.LSTM(64), 28, True),
        (layers.SimpleRNN(8), 130, True),
        (layers.LSTM(256), 28, False),  # the weights of all steps would leave the cache
        (layers.LSTM(8), 130, False),  # too many operators
    ],
)
def test_the_faster_form_is_chosen(
    layer: Any, time: int, written_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def watched(form: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            taken.append(form.__name__)
            return form(*arguments, **keywords)

        return run

    for form in (tflite_steps.write_out, tflite_steps.loop):
        monkeypatch.setattr(tflite_recurrent, form.__name__, watched(form))
    x = keras.Input((time, 8), name="x")
    model = keras.Model(x, layer(x))
    trace_endpoints(
        model, emit=tflite_recurrent.TFLiteRecurrent()
    )  # traced and no more: converting 400 steps takes long
    assert taken == (["write_out"] if written_out else ["loop"])


@pytest.mark.parametrize(("quantize", "time"), [("float16", None), ("dynamic", 9)])
def test_smaller_weights(quantize: str, time: int | None, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = chain(time, layers.LSTM(48, return_sequences=True), layers.GRU(48))
    plain = to_tflite(model, tmp_path / "plain.tflite")
    small = to_tflite(model, tmp_path / "small.tflite", quantize=quantize)
    inputs = draw(model, 2, 9)
    got = Interpreter(str(small.path)).get_signature_runner("serving_default")(**inputs)["output"]
    error = float(np.abs(got - ask_keras(model, inputs)[0]).max())
    saved = {"float16": 0.5, "dynamic": 0.75}[quantize] * 4 * model.count_params()
    assert plain.bytes - small.bytes > 0.7 * saved
    assert 1e-6 < error < {"float16": 1e-3, "dynamic": 2e-2}[quantize]


def test_int8_of_fixed_time_and_of_a_loop(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32)
    for time in (7, None):
        keras.utils.set_random_seed(0)
        model = chain(time, layers.LSTM(32, return_sequences=True))
        artifact = to_tflite(model, tmp_path / "m.tflite", quantize="int8", representative_data=data)
        assert ("WHILE" in operators_of(artifact.path)) == (time is None)
        got = Interpreter(str(artifact.path)).get_signature_runner("serving_default")(x=data[:1])["output"]
        assert 1e-5 < float(np.abs(got - model(data[:1])).max()) < 3e-2


def test_a_crash_of_the_converter_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\nkill -SEGV $$\n")
    dying.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(dying))
    with pytest.raises(ConversionError, match=r"loops over time .* crashed \(signal 11\)\. Use quantize="):
        to_tflite(
            chain(None, layers.GRU(2)),
            tmp_path / "model.tflite",
            quantize="int8",
            representative_data=np.zeros((2, 5, 3), np.float32),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["python"]


def test_a_release_holds_recurrent_layers(tmp_path: Path) -> None:
    model = disturbed(chain(None, layers.GRU(4)))
    release = export(model, tmp_path / "gru", formats=["tflite"])
    (artifact,) = (artifact for artifact in release.artifacts if artifact.format == "tflite")
    assert "WHILE" in operators_of(artifact.path)
    inputs = draw(model, 2, 4)
    answer = load_artifact(release, format="tflite")(inputs)["output"]
    np.testing.assert_allclose(answer, ask_keras(model, inputs)[0], atol=1e-6)
    assert {path.name for path in release.path.iterdir()} >= {"model.tflite", "saved_model.pb"}
    assert not [
        path for path in release.path.iterdir() if path.name.startswith("model.tflite") and path.is_dir()
    ]


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, Artifact]:
    stack = [
        layers.LSTM(4, return_sequences=True, name="first"),
        layers.Bidirectional(layers.LSTM(3, use_bias=False, return_sequences=True), name="both"),
        layers.GRU(4, return_sequences=True),
        layers.LSTM(2, go_backwards=True, name="last"),
    ]
    model = disturbed(chain(None, *stack))
    return model, to_tflite(model, tmp_path_factory.mktemp("fused") / "model.tflite", lstm="fused")


def test_a_fused_lstm_is_one_operator(fused: tuple[keras.Model, Artifact]) -> None:
    model, artifact = fused
    assert artifact.operators["UNIDIRECTIONAL_SEQUENCE_LSTM"] == 4
    assert len(artifact.notes) == 4
    assert artifact.notes[0].startswith(
        "first: it is one UNIDIRECTIONAL_SEQUENCE_LSTM, which keeps its state"
    )
    runner = load_artifact(artifact)
    assert runner.inputs["x"].shape == (1, "x_time", 3)
    for time in (4, 9, 4):
        inputs = draw(model, 1, time)
        for _ in range(2):
            np.testing.assert_allclose(runner(inputs)["output"], ask_keras(model, inputs)[0], atol=1e-6)
    assert verify(artifact, model).max_abs_error < 1e-5


def test_a_fused_lstm_keeps_its_state_until_it_is_reset(fused: tuple[keras.Model, Artifact]) -> None:
    model, artifact = fused
    interpreter = Interpreter(str(artifact.path))
    runner = interpreter.get_signature_runner("serving_default")
    inputs = draw(model, 1, 5)
    first, second = (runner(**inputs)["output"].copy() for _ in range(2))
    interpreter.reset_all_variables()
    np.testing.assert_array_equal(runner(**inputs)["output"], first)
    assert float(np.abs(first - second).max()) > 1e-4


def encoder(*wanted: int) -> keras.Model:
    x = keras.Input((5, 3), name="x")
    states = layers.LSTM(4, return_state=True, name="odd")(x)
    return keras.Model(x, [layers.Dense(2)(states[index]) for index in wanted])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: chain(5, layers.LSTM(4, activation="relu", name="odd")), "its activation is not tanh"),
        (
            lambda: chain(5, layers.LSTM(4, recurrent_activation="hard_sigmoid", name="odd")),
            "its recurrent activation is not sigmoid",
        ),
        (lambda: chain(5, Holes(), layers.LSTM(4, name="odd")), "it has a mask"),
        (lambda: encoder(0, 2), "its cell state is used"),
    ],
)
def test_a_layer_that_the_fused_operator_computes_wrongly_is_refused(
    make: Callable[[], keras.Model], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=f"lstm='fused' would compute 'odd' wrongly, because {reason}"):
        to_tflite(make(), tmp_path / "model.tflite", lstm="fused")


def test_a_fused_lstm_returns_its_last_output_as_a_state(tmp_path: Path) -> None:
    model = disturbed(encoder(0, 1))
    artifact = to_tflite(model, tmp_path / "model.tflite", lstm="fused")
    inputs = draw(model, 1, 5)
    got = list(load_artifact(artifact)(inputs).values())
    for output, wanted in zip(got, ask_keras(model, inputs), strict=True):
        np.testing.assert_allclose(output, wanted, atol=1e-6)


def test_an_unknown_form_of_lstms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lstm: expected 'exact' or 'fused', got 'fast'"):
        to_tflite(chain(5, layers.LSTM(2)), tmp_path / "model.tflite", lstm="fast")
