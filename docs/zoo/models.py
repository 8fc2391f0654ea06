"""The parts of the small models; batch and time are dynamic where Keras supports it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers, ops

Build = Callable[[], keras.Model]

_random = np.random.default_rng(0)
VECTOR, TIME, STEPS, IMAGE, VOLUME = (6,), (None, 3), (5, 3), (8, 8, 4), (6, 6, 6, 2)
# Padding on the right, on the left, holes, padding alone, none.
TOKENS = np.array(
    [[1, 2, 3, 0, 0], [0, 0, 4, 5, 6], [7, 0, 8, 0, 1], [0, 0, 0, 0, 0], [5, 4, 3, 2, 1]], np.int32
)


@dataclass(frozen=True)
class Specimen:
    """A model to export.

    Attributes:
        name: what the export matrix calls it.
        build: makes it.
        inputs: real inputs by name, where drawn ones would not do.
        refused: for each format that cannot express it, a pattern of what the error says.
        loops: whether its own operations are loops or branches, or it has a cell that no ONNX node expresses.
        tested: False where the tests of recurrent layers go through more of its kind.
    """

    name: str
    build: Build
    inputs: Mapping[str, np.ndarray] | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    loops: bool = False
    tested: bool = True


def disturbed(model: keras.Model) -> keras.Model:
    """Perturb constant weights: zeros and ones would hide a missing or swapped weight."""
    random = np.random.default_rng(7)
    for weight in model.weights:
        values = keras.ops.convert_to_numpy(keras.ops.cast(weight, "float32"))
        if weight.dtype.startswith("float") and np.ptp(values) == 0:
            weight.assign(weight + random.uniform(0.0, 0.1, weight.shape))
    return model


def over(shape: Sequence[int | None], *made: Callable[[], Any], dtype: str = "float32") -> Build:
    """Build a model of one input, with the outputs of each layer (or function)."""

    def build() -> keras.Model:
        x = keras.Input(tuple(shape), dtype=dtype, name="x")
        outputs = [make()(x) for make in made]
        return keras.Model(x, outputs[0] if len(outputs) == 1 else outputs)

    return build


def of(cls: Any, *arguments: Any, **named: Any) -> Callable[[], Any]:
    """Return a factory of the layer."""
    return functools.partial(cls, *arguments, **named)


def function(call: Callable[[Any], Any]) -> Callable[[], Any]:
    """Return a factory of a `Lambda` layer."""
    return lambda: layers.Lambda(call)


def of_tokens(call: Callable[[Any], Any]) -> Build:
    """Build a model of embedded tokens with 0 masked."""

    def build() -> keras.Model:
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        return keras.Model(tokens, call(layers.Embedding(9, 4, mask_zero=True)(tokens)))

    return build


def of_two(shape: Sequence[int | None], call: Callable[[Any, Any], Any], dtype: str = "float32") -> Build:
    """Build a model of two inputs."""

    def build() -> keras.Model:
        left, right = (keras.Input(tuple(shape), dtype=dtype, name=name) for name in ("left", "right"))
        return keras.Model([left, right], call(left, right))

    return build


def sequence_to_sequence(cls: Any) -> Build:
    """Build an encoder whose last states are the initial states of the decoder."""

    def build() -> keras.Model:
        source, target = keras.Input((None, 3), name="source"), keras.Input((None, 2), name="target")
        _, *states = cls(4, return_state=True)(source)
        return keras.Model(
            {"source": source, "target": target},
            {"logits": layers.Dense(2)(cls(4, return_sequences=True)(target, initial_state=states))},
        )

    return build


def row_of(layer: Any) -> Any:
    """Apply a layer of sequences to the first row of images."""
    return lambda image: layer(image[:, 0])


def bidirectional_states(sequence: Any) -> Any:
    """Pass the states of one bidirectional layer to the next."""
    outputs, *states = layers.Bidirectional(layers.LSTM(3, return_sequences=True, return_state=True))(
        sequence
    )
    return [layers.Bidirectional(layers.LSTM(3), merge_mode="sum")(outputs, initial_state=states), *states]


@keras.saving.register_keras_serializable("keras_dl_export_tests")
class SineCell(layers.Layer):
    """A cell, h = sin(x W) + h / 2, for which no format has an operator."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.units))

    def call(self, x: Any, states: Any) -> Any:
        h = ops.sin(ops.matmul(x, self.kernel)) + states[0] / 2
        return h, [h]


def cells_of_this_package() -> keras.Model:
    """Build a model of the recurrent layers and cells of keras_dl."""
    from keras_dl import layers as own

    x = keras.Input((None, 3), name="x")
    return keras.Model(x, [layers.RNN([own.LSTMCell(4), own.GRUCell(3)])(x), own.LSTM(3)(x), own.GRU(3)(x)])


def nested_inputs() -> keras.Model:
    """Build a model with a nested dict of inputs and of outputs."""
    a, b, c = keras.Input((3,), name="a"), keras.Input((2,), name="b"), keras.Input((None, 2), name="c")
    y = layers.Concatenate()([a, b, ops.sum(c, axis=1)])
    outputs = {"out": {"left": layers.Dense(2)(y), "right": [layers.Dense(1)(y), y]}}
    return keras.Model({"a": a, "rest": [b, {"c": c}]}, outputs)


def shared_layers() -> keras.Model:
    """Build a model that calls one network twice."""
    core = keras.Sequential([keras.Input((4,)), layers.Dense(3, "relu"), layers.BatchNormalization()])
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.Sequential([layers.Dense(2)])(core(x) - core(2 * x)))


@keras.saving.register_keras_serializable("keras_dl_export_tests")
class Scaled(keras.Model):
    """A subclassed model of several arguments."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(9, 3)

    def call(self, token: Any, scale: Any, training: bool = False) -> Any:
        embedded = self.embedding(token)
        if training:
            embedded = keras.random.dropout(embedded, 0.5)
        return {"scaled": embedded * scale, "positive": scale > 0}


def several_arguments() -> keras.Model:
    """Build a subclassed model by a call with two arguments."""
    model = Scaled()
    model(np.zeros((2,), "int32"), np.zeros((2, 1), "float32"))
    return model


def mixed_precision(policy: str) -> Build:
    """Build a convolutional model under a dtype policy."""

    def build() -> keras.Model:
        x = keras.Input((6, 6, 2), name="x")
        y = layers.BatchNormalization(dtype=policy)(layers.Conv2D(3, 3, dtype=policy)(x))
        return keras.Model(x, layers.Dense(2, dtype=policy)(layers.Flatten(dtype=policy)(y)))

    return build


def transformer() -> keras.Model:
    """Build a causal transformer of one block."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    positions = layers.Lambda(lambda t: ops.arange(ops.shape(t)[1])[None])(tokens)
    x = layers.Embedding(9, 8)(tokens) + layers.Embedding(64, 8)(positions)
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)
    x = x + layers.Dense(8)(layers.Dense(16, "gelu")(layers.LayerNormalization()(x)))
    return keras.Model(tokens, layers.Dense(9)(x))


def einsum_dense() -> Any:
    """Return an `EinsumDense` layer with two dynamic axes."""
    return layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 4), bias_axes="de")


def scanned(x: Any) -> Any:
    """Return the running product of sums over time, computed by `ops.scan`."""
    steps = ops.swapaxes(x, 0, 1)
    return ops.scan(lambda total, step: (total + step, total * step), ops.zeros_like(steps[0]), steps)[1]


def of_application(name: str, **options: Any) -> Build:
    """Build a small network of `keras.applications` with random weights."""

    def build() -> keras.Model:
        return getattr(keras.applications, name)(
            input_shape=(32, 32, 3), weights=None, classes=4, classifier_activation=None, **options
        )

    return build


def adapted_normalization() -> Any:
    """Return a `Normalization` layer adapted to random data."""
    layer = layers.Normalization()
    layer.adapt(_random.normal(1.0, 3.0, (20, 6)).astype(np.float32))
    return layer
