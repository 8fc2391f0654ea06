"""FLOPs against formulas, and against TensorFlow's profiler for the operators that it counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from keras_dl_export import export
from keras_dl_export.measure.flops import _Meter, count_flops
from keras_dl_export.tracing import Signature, trace_endpoints


def signed(shape: tuple[int | None, ...], *stack: keras.layers.Layer) -> Signature:
    return trace_endpoints(keras.Sequential([keras.Input(shape, name="x"), *stack]))["serving_default"]


def lstm(time: int, features: int, units: int) -> int:
    """Each step: both products, their sum and bias; 3 sigmoids, 2 tanh; c' = f c + i g; h = o tanh(c')."""
    products = 2 * features * 4 * units + 2 * units * 4 * units
    return time * (products + 2 * 4 * units + 5 * units + 3 * units + units)


@pytest.mark.parametrize(
    ("shape", "stack", "expected"),
    [
        ((5,), [layers.Dense(7, activation="relu")], 7 * (2 * 5 + 1 + 1)),
        ((6, 5), [layers.Dense(7, use_bias=False)], 6 * 7 * 2 * 5),
        # 9 -> 4 valid positions a side with stride 2
        ((9, 9, 3), [layers.Conv2D(4, 3, strides=2)], 4 * 4 * 4 * (2 * 3 * 3 * 3 + 1)),
        ((9, 9, 3), [layers.Conv2D(4, 3, padding="same", use_bias=False)], 9 * 9 * 4 * 2 * 27),
        ((9, 9, 4), [layers.Conv2D(6, 3, groups=2, use_bias=False)], 7 * 7 * 6 * 2 * 3 * 3 * 2),
        ((9, 9, 3), [layers.DepthwiseConv2D(3, depth_multiplier=2)], 7 * 7 * 6 * (2 * 3 * 3 + 1)),
        # every one of the 4 x 4 x 3 numbers read goes to 3 x 3 x 5 taps
        ((4, 4, 3), [layers.Conv2DTranspose(5, 3, strides=2, use_bias=False)], 4 * 4 * 3 * 2 * 3 * 3 * 5),
        ((7, 3), [layers.Conv1D(4, 3, use_bias=False)], 5 * 4 * 2 * 3 * 3),
        ((4, 4, 3), [layers.BatchNormalization()], 2 * 4 * 4 * 3),
        ((8, 8, 2), [layers.MaxPooling2D(2)], 8 * 8 * 2),
        ((5,), [layers.Softmax()], 5 * 5),
        ((6, 3), [layers.LSTM(4)], lstm(6, 3, 4)),
        ((None, 3), [layers.LSTM(4)], lstm(6, 3, 4)),  # examples of 6 steps are drawn
        ((None, 3), [layers.Bidirectional(layers.LSTM(4))], 2 * lstm(6, 3, 4)),
        ((9, 3), [layers.LSTM(4, return_sequences=True), layers.LSTM(2)], lstm(9, 3, 4) + lstm(9, 4, 2)),
        ((5, 2), [layers.SimpleRNN(3)], 5 * (2 * 2 * 3 + 3 + 2 * 3 * 3 + 3 + 3)),
        ((4,), [layers.Reshape((2, 2)), layers.Permute((2, 1)), layers.Flatten()], 0),
    ],
)
def test_hand_formulas(shape, stack, expected):
    flops = count_flops(signed(shape, *stack))
    assert flops.total == sum(flops.operators.values()) == expected
    assert flops.uncounted == ()


def test_masked_steps_count_like_other_steps():
    plain = signed((None,), layers.Embedding(9, 3), layers.LSTM(4))
    masked = signed((None,), layers.Embedding(9, 3, mask_zero=True), layers.LSTM(4))
    assert count_flops(plain).total == count_flops(masked).total == lstm(6, 3, 4)


def test_attention():
    x = keras.Input((6, 8), name="x")
    attend = layers.MultiHeadAttention(num_heads=2, key_dim=4, use_bias=False)
    flops = count_flops(trace_endpoints(keras.Model(x, attend(x, x)))["serving_default"])
    projections = 4 * 2 * 6 * 8 * 8  # query, key, value and output: 8 features to 2 heads of 4, or back
    products = 2 * (2 * 2 * 6 * 6 * 4)  # scores, and the mean that they weigh: for each head, pair and key
    assert sum(flops.operators[name] for name in flops.operators if "Mat" in name or name == "Einsum") == (
        projections + products
    )


def test_a_loop_is_counted_for_every_iteration():
    class Halving(keras.layers.Layer):
        """Divides by two until nothing is above one: the number of turns is in the data."""

        def call(self, x):
            return tf.while_loop(lambda y: tf.reduce_max(y) > 1.0, lambda y: (y / 2.0,), (x,))[0]

    model = keras.Sequential([keras.Input((3,), name="x"), Halving()])
    signature = trace_endpoints(model, np.array([[9.0, 1.0, 2.0], [2.0, 2.0, 2.0]], np.float32))[
        "serving_default"
    ]
    flops = count_flops(signature)
    assert flops.operators == {"RealDiv": 4 * 3, "Max": 5 * 3}  # 9 -> 4.5 -> 2.25 -> 1.125 -> 0.5625


def test_operations_on_weights_alone_are_not_counted():
    class Normalized(keras.layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], 4))

        def call(self, x):
            return x @ (self.w / tf.norm(self.w))

    assert count_flops(signed((5,), Normalized())).operators == {"MatMul": 2 * 5 * 4}


def test_unknown_operators_are_named():
    class Spectrum(keras.layers.Layer):
        def call(self, x):
            return tf.abs(tf.signal.rfft(x))

    flops = count_flops(signed((8,), Spectrum()))
    assert flops.uncounted == ("ComplexAbs", "RFFT")


def test_the_counted_graph_matches_the_model():
    signature = signed(
        (None,), layers.Embedding(9, 3, mask_zero=True), layers.Bidirectional(layers.GRU(4)), layers.Dense(2)
    )
    sample = signature.samples[0]
    for name, tensor in _Meter().run(signature.function, sample.inputs).items():
        np.testing.assert_allclose(tensor, sample.outputs[name], atol=1e-6)


def test_products_and_convolutions_match_tensorflows_profiler():
    signature = signed(
        (12, 12, 3),
        layers.Conv2D(8, 3, padding="same"),
        layers.DepthwiseConv2D(3),
        layers.Conv2D(4, 1, strides=2),
        layers.Flatten(),
        layers.Dense(10),
    )
    fixed = tf.function(lambda x: signature.endpoint.function(x=x)).get_concrete_function(
        tf.TensorSpec((1, 12, 12, 3))
    )
    frozen = convert_variables_to_constants_v2(fixed)
    options = tf.compat.v1.profiler.ProfileOptionBuilder(
        tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    ).with_empty_output()
    profiled = tf.compat.v1.profiler.profile(frozen.graph, options=options.build())
    assert count_flops(signature).total == profiled.total_float_ops


def test_an_uncountable_model_is_released_with_the_reason(monkeypatch, tmp_path):
    def fail(signature):
        raise NotImplementedError("no kernel for this operator outside graphs\nand a traceback")

    monkeypatch.setattr("keras_dl_export.manifest.count_flops", fail)
    model = keras.Sequential([keras.Input((2,), name="x"), layers.Dense(1)])
    release = export(model, tmp_path / "dense", formats=("saved_model",))
    assert release.flops == {}
    entry = release.manifest["endpoints"]["serving_default"]
    assert entry["flops_missing"] == "no kernel for this operator outside graphs"
