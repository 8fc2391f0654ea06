"""Recurrent layers in ONNX: native nodes, and the Keras model's numbers in onnxruntime."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from keras import layers

from keras_dl import layers as kdl
from keras_dl_export import export, to_onnx
from keras_dl_export.formats.onnx.onnx_contents import count_onnx_operators

pytestmark = pytest.mark.slow

D, H = 3, 4
LOOPS = {"Loop", "Scan", "If"}
SIZES = ((1, 6), (3, 4), (2, 1))  # batch, time
RECURRENT = {"SimpleRNN": "RNN", "LSTM": "LSTM", "GRU": "GRU"}


def disturb(model: keras.Model) -> keras.Model:
    """Give every weight its own value: the zeros of biases would hide a wrong one."""
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.uniform(-0.8, 0.8, weight.shape))
    return model


def over_sequence(
    call: Callable[[Any], Any], *, masked: bool = False, time: int | None = None
) -> keras.Model:
    x = keras.Input((time, D), name="x")
    return disturb(keras.Model(x, call(layers.Masking(0.0)(x) if masked else x)))


def draw(batch: int, time: int, *, masked: bool = False) -> np.ndarray:
    """Return sequences; masked ones with zeros on the left, in the middle, on the right and everywhere."""
    random = np.random.default_rng(batch)
    x = random.normal(size=(batch, time, D)).astype(np.float32)
    if masked:
        x[0, : time // 2] = 0.0
        x[-1, 1 : max(time // 2, 1)] = 0.0
        x[-1, max(1, time - 1) :] = 0.0
        if batch > 2:
            x[1] = 0.0
    return x


def check(model: keras.Model, path: Path, *cases: Mapping[str, np.ndarray], tolerance: float = 1e-5) -> None:
    """Run every case twice in one session."""
    session = onnxruntime.InferenceSession(str(path))
    wanted = [keras.tree.flatten(ask(model, case)) for case in cases]
    for _ in range(2):
        for case, expected in zip(cases, wanted, strict=True):
            answers = session.run(None, dict(case))
            assert len(answers) == len(expected)
            for answer, tensor in zip(answers, expected, strict=True):
                assert answer.shape == tensor.shape
                np.testing.assert_allclose(answer, tensor, rtol=tolerance, atol=tolerance)


def ask(model: keras.Model, case: Mapping[str, np.ndarray]) -> Any:
    arrays = [tf.constant(array) for array in case.values()]
    return model(arrays if len(arrays) > 1 else arrays[0], training=False)


def check_sizes(model: keras.Model, path: Path, *, masked: bool = False, time: int | None = None) -> None:
    check(model, path, *({"x": draw(batch, time or steps, masked=masked)} for batch, steps in SIZES))


def assert_native(artifact: Any, **nodes: int) -> None:
    assert not artifact.notes
    assert not LOOPS & set(artifact.operators)
    assert {name: artifact.operators.get(name, 0) for name in ("RNN", "LSTM", "GRU")} == {
        "RNN": 0,
        "LSTM": 0,
        "GRU": 0,
        **nodes,
    }
    # Weights are the file's own initializers: a quantizer and a reader of the file find them there.
    graph = onnx.load(artifact.path).graph
    initializers = {initializer.name for initializer in graph.initializer}
    for node in graph.node:
        if node.op_type in RECURRENT.values():
            assert set(filter(None, node.input[1:4])) <= initializers
    onnx.checker.check_model(onnx.load(artifact.path), full_check=True)


LAYERS: dict[str, tuple[Callable[[], Any], dict[str, int]]] = {
    "rnn": (lambda: layers.SimpleRNN(H), {"RNN": 1}),
    "rnn without bias": (lambda: layers.SimpleRNN(H, use_bias=False), {"RNN": 1}),
    "lstm": (lambda: layers.LSTM(H), {"LSTM": 1}),
    "lstm without bias": (lambda: layers.LSTM(H, use_bias=False, return_sequences=True), {"LSTM": 1}),
    "lstm unrolled": (lambda: layers.LSTM(H, unroll=True, return_sequences=True), {"LSTM": 1}),
    "gru": (lambda: layers.GRU(H), {"GRU": 1}),
    "gru without bias": (lambda: layers.GRU(H, use_bias=False), {"GRU": 1}),
    "gru, reset before": (lambda: layers.GRU(H, reset_after=False, return_sequences=True), {"GRU": 1}),
    "gru, reset before, no bias": (lambda: layers.GRU(H, reset_after=False, use_bias=False), {"GRU": 1}),
    "dropout": (lambda: layers.LSTM(H, dropout=0.5, recurrent_dropout=0.5), {"LSTM": 1}),
    "rnn dropout": (lambda: layers.SimpleRNN(H, dropout=0.5, recurrent_dropout=0.5), {"RNN": 1}),
    "cell": (lambda: layers.RNN(layers.GRUCell(H), return_sequences=True), {"GRU": 1}),
    "stacked cells": (
        lambda: layers.RNN(
            [layers.LSTMCell(H), layers.GRUCell(5), layers.SimpleRNNCell(2)],
            return_sequences=True,
            return_state=True,
        ),
        {"LSTM": 1, "GRU": 1, "RNN": 1},
    ),
    "stacked cells, backwards": (
        lambda: layers.RNN([layers.LSTMCell(H), layers.GRUCell(5)], return_sequences=True, go_backwards=True),
        {"LSTM": 1, "GRU": 1},
    ),
    "keras_dl rnn": (lambda: kdl.VanillaRNN(H, output_units=2, return_sequences=True), {"RNN": 1}),
    "keras_dl lstm": (lambda: kdl.LSTM(H, return_state=True), {"LSTM": 1}),
    "keras_dl gru": (lambda: kdl.GRU(H, return_sequences=True), {"GRU": 1}),
    "keras_dl rnn cell": (
        lambda: layers.RNN(kdl.VanillaRNNCell(H, output_units=2), return_sequences=True, return_state=True),
        {"RNN": 1},
    ),
    "keras_dl lstm cell": (lambda: layers.RNN(kdl.LSTMCell(H), return_state=True), {"LSTM": 1}),
    "keras_dl gru cell": (lambda: layers.RNN(kdl.GRUCell(H), return_sequences=True), {"GRU": 1}),
    "keras_dl stacked": (
        lambda: layers.RNN([kdl.VanillaRNNCell(H, output_units=2), kdl.GRUCell(3)]),
        {"RNN": 1, "GRU": 1},
    ),
}


# Those with something of their own to do about a mask; the others are `test_masks_with_holes`.
MASKED = ("lstm unrolled", "stacked cells", "stacked cells, backwards", "keras_dl rnn", "keras_dl rnn cell")


@pytest.mark.parametrize(
    ("name", "masked"), [*((name, False) for name in LAYERS), *((name, True) for name in MASKED)]
)
def test_a_layer_is_one_native_node(name: str, masked: bool, tmp_path: Path) -> None:
    make, nodes = LAYERS[name]
    time = 6 if "unrolled" in name else None
    model = over_sequence(lambda x: make()(x), masked=masked, time=time)
    artifact = to_onnx(model, tmp_path / "model.onnx")
    assert_native(artifact, **nodes)
    check_sizes(model, artifact.path, masked=masked, time=time)


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("zero", [False, True], ids=["repeat", "zero"])
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "every"])
@pytest.mark.parametrize("layer", RECURRENT)
def test_masks_with_holes(layer: str, sequences: bool, zero: bool, backwards: bool, tmp_path: Path) -> None:
    """Check initial states: a sequence without a valid step returns them unchanged, and zeros as output."""

    def call(x: Any) -> Any:
        summary = layers.GlobalAveragePooling1D()(x)
        states = [layers.Dense(H)(summary) for _ in range(1 + (layer == "LSTM"))]
        return getattr(layers, layer)(
            H,
            return_sequences=sequences,
            return_state=True,
            zero_output_for_mask=zero,
            go_backwards=backwards,
        )(x, initial_state=states)

    model = over_sequence(call, masked=True)
    artifact = to_onnx(model, tmp_path / "model.onnx")
    assert_native(artifact, **{RECURRENT[layer]: 1})
    check_sizes(model, artifact.path, masked=True)


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
@pytest.mark.parametrize("merge_mode", ["sum", "mul", "ave", "concat", None])
def test_bidirectional(merge_mode: str | None, masked: bool, tmp_path: Path) -> None:
    kind = {"sum": "LSTM", "mul": "SimpleRNN"}.get(merge_mode or "", "GRU")
    make = getattr(layers, kind)

    def call(x: Any) -> Any:
        every = make(H, return_sequences=True, return_state=True)
        return [
            layers.Bidirectional(every, merge_mode=merge_mode)(x),
            layers.Bidirectional(make(H), merge_mode=merge_mode)(x),
        ]

    model = over_sequence(call, masked=masked)
    artifact = to_onnx(model, tmp_path / "model.onnx")
    assert_native(artifact, **{RECURRENT[kind]: 4})
    check_sizes(model, artifact.path, masked=masked)
    if not masked:  # each half runs in its own direction: nothing is turned around
        assert "Slice" not in artifact.operators


ACTIVATIONS = (
    "tanh",
    "sigmoid",
    "relu",
    "elu",
    "softsign",
    "linear",
    "hard_sigmoid",
    "leaky_relu",
    layers.LeakyReLU(negative_slope=0.4),
    tf.nn.relu,
    keras.ops.softsign,
)


@pytest.mark.parametrize("layer", RECURRENT)
def test_every_activation_of_the_nodes(layer: str, tmp_path: Path) -> None:
    """Combine the activations: only some of them read from the node's lists of alphas and betas."""

    def call(x: Any) -> Any:
        outputs = []
        for index, activation in enumerate(ACTIVATIONS):
            gates = {} if layer == "SimpleRNN" else {"recurrent_activation": ACTIVATIONS[index - 3]}
            outputs.append(getattr(layers, layer)(H, activation=activation, **gates)(x))
        return outputs

    model = over_sequence(call)
    for weight in model.weights:  # what is not bounded stays small
        weight.assign(weight * 0.5)
    artifact = to_onnx(model, tmp_path / "model.onnx")
    assert_native(artifact, **{RECURRENT[layer]: len(ACTIVATIONS)})
    check(model, artifact.path, {"x": draw(3, 4)})


def test_softplus_stays_a_loop(tmp_path: Path) -> None:
    model = over_sequence(lambda x: layers.SimpleRNN(H, activation="softplus", name="soft")(x))
    artifact = to_onnx(model, tmp_path / "model.onnx")
    assert "RNN" not in artifact.operators
    (note,) = artifact.notes
    assert "does not support the activation 'softplus'" in note
    check(model, artifact.path, {"x": 300 * draw(3, 4)})


def test_an_encoder_initializes_a_decoder(tmp_path: Path) -> None:
    """Pad both texts and vary both lengths; the encoder's states initialize the decoder."""
    question = keras.Input((None,), dtype="int32", name="question")
    answer = keras.Input((None,), dtype="int32", name="answer")
    embed = layers.Embedding(9, D, mask_zero=True)
    _, h, c = layers.LSTM(H, return_state=True)(embed(question))
    x = layers.LSTM(H, return_sequences=True)(embed(answer), initial_state=[h, c])
    context = layers.GRU(H, return_sequences=True)(embed(answer), initial_state=layers.Dense(H)(h))
    model = disturb(keras.Model([question, answer], layers.Dense(9)(x + context)))
    artifact = to_onnx(model, tmp_path / "model.onnx")
    assert_native(artifact, LSTM=2, GRU=1)
    random = np.random.default_rng(0)
    check(
        model,
        artifact.path,
        *(
            {
                "question": random.integers(0, 3, (batch, time)).astype(np.int32),
                "answer": random.integers(0, 3, (batch, time + 2)).astype(np.int32),
            }
            for batch, time in SIZES
        ),
    )


def test_states_as_inputs(tmp_path: Path) -> None:
    x, h, c = keras.Input((None, D), name="x"), keras.Input((H,), name="h"), keras.Input((H,), name="c")
    model = disturb(keras.Model([x, h, c], layers.LSTM(H, return_state=True)(x, initial_state=[h, c])))
    artifact = to_onnx(model, tmp_path / "model.onnx")
    assert_native(artifact, LSTM=1)
    state = np.random.default_rng(1).normal(size=(3, H)).astype(np.float32)
    for batch, time in SIZES:
        check(model, artifact.path, {"x": draw(batch, time), "h": state[:batch], "c": -state[:batch]})


@pytest.mark.parametrize("opset", [13, 14, 16, 18])
def test_every_opset(opset: int, tmp_path: Path) -> None:
    model = over_sequence(
        lambda x: [
            layers.SimpleRNN(H)(x),
            layers.GRU(H, go_backwards=True, return_sequences=True)(x),
            layers.Bidirectional(layers.LSTM(H, return_sequences=True))(x),
        ],
        masked=True,
    )
    artifact = to_onnx(model, tmp_path / "model.onnx", opset=opset)
    assert_native(artifact, RNN=1, GRU=1, LSTM=2)
    assert onnx.load(artifact.path).opset_import[0].version == opset
    check_sizes(model, artifact.path, masked=True)


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_time_distributed_over_a_known_time(masked: bool, tmp_path: Path) -> None:
    """Expect one node for all steps of the outer time axis; the inner one may vary."""
    x = keras.Input((2, None, D), name="x")
    inner = layers.TimeDistributed(layers.LSTM(H))(layers.Masking(0.0)(x) if masked else x)
    every = layers.TimeDistributed(layers.Bidirectional(layers.SimpleRNN(H, return_sequences=True)))(x)
    model = disturb(keras.Model(x, [layers.TimeDistributed(layers.Dense(H))(inner), every]))
    artifact = to_onnx(model, tmp_path / "model.onnx")
    assert_native(artifact, LSTM=1, RNN=2)
    check(
        model,
        artifact.path,
        *(
            {"x": draw(2 * batch, time, masked=masked).reshape(batch, 2, time, D)}
            for batch, time in ((1, 5), (3, 4))
        ),
    )


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_half_precision(masked: bool, tmp_path: Path) -> None:
    """The nodes have no float16 kernels and compute in float32, between casts."""
    model = over_sequence(
        lambda x: layers.GRU(H, return_sequences=True, dtype="mixed_float16")(x), masked=masked
    )
    artifact = to_onnx(model, tmp_path / "model.onnx")
    assert artifact.operators["GRU"] == 1
    check(model, artifact.path, {"x": draw(3, 4, masked=masked)}, tolerance=5e-3)


class Leaky(layers.LSTMCell):
    """A layer with the weights of an LSTM and another equation."""

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, states = super().call(inputs, states, training=training)
        return h, [0.5 * state for state in states]


class Renamed(kdl.GRUCell):
    """A layer with the attributes of a GRU and another equation."""

    def call(self, inputs: Any, states: Any) -> Any:
        h, states = super().call(inputs, states)
        return 2.0 * h, states


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: layers.LSTM(H, activation="gelu"), "ONNX's LSTM does not support the activation 'gelu'"),
        (lambda: layers.GRU(H, recurrent_activation=keras.ops.cos), "does not support the activation 'cos'"),
        (lambda: layers.RNN(Leaky(H), return_sequences=True), "its cell is a Leaky, not an LSTM"),
        (lambda: layers.RNN(Renamed(H)), "its cell is a Renamed, not an LSTM"),
        (lambda: layers.RNN([layers.GRUCell(H), Leaky(H)]), "its cell is a Leaky, not an LSTM"),
        (lambda: layers.GRU(H, dtype="float64"), "has no recurrent operators for float64"),
    ],
)
def test_a_layer_without_a_native_node_stays_a_loop_and_is_noted(
    make: Callable[[], Any], reason: str, tmp_path: Path
) -> None:
    layer = make()
    masked = isinstance(layer, layers.LSTM)
    model = over_sequence(
        lambda x: layers.GRU(H)(layer(x)) if len(layer(x).shape) == 3 else layer(x), masked=masked
    )
    artifact = to_onnx(model, tmp_path / "model.onnx")
    (note,) = artifact.notes
    assert note.startswith(f"{layer.name}: it is a loop, which is slower, because ")
    assert reason in note
    assert artifact.operators["Loop"] == 1
    check_sizes(model, artifact.path, masked=masked)


def test_a_release_lowers_only_the_onnx_file_and_records_the_notes(tmp_path: Path) -> None:
    model = over_sequence(
        lambda x: layers.GRU(H, activation="gelu", name="odd")(layers.LSTM(H, return_sequences=True)(x))
    )
    release = export(model, tmp_path / "release", formats=("saved_model", "onnx"))
    saved_model, written = release.artifacts
    assert (written.operators["LSTM"], written.operators["Loop"]) == (1, 1)
    assert [note.partition(":")[0] for note in written.notes] == ["odd"]
    assert not saved_model.notes
    assert "PyFunc" not in saved_model.operators  # the nodes' place holders are no operators that run
    assert saved_model.operators["While"] + saved_model.operators.get("StatelessWhile", 0) >= 2
    check_sizes(model, written.path)


def test_nodes_are_counted_in_the_file(tmp_path: Path) -> None:
    model = over_sequence(lambda x: layers.GRU(H)(layers.GRU(H, return_sequences=True)(x)))
    path = to_onnx(model, tmp_path / "model.onnx").path
    assert count_onnx_operators(path) == Counter(node.op_type for node in onnx.load(path).graph.node)
