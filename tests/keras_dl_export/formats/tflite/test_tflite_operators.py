"""Operators that TFLite computes differently, in the stock interpreter, against NumPy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_dl_export.formats.tflite.tflite_operators import TFLITE_OPERATORS
from keras_dl_export.lowering import replaced_operators
from tests._support.tflite_answers import INF, NAN, WIDE, Own, answers

FLOATS = np.float32([100, -100, 0, INF, -INF, NAN, 88.8, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-3, -7.3, 3.4028235e38])


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, x)


FUNCTIONS_OF_ONE_FLOAT: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "softplus": (ops.softplus, softplus),
    "own_softplus": (Own(tf.nn.softplus), softplus),
    "log_sigmoid": (ops.log_sigmoid, lambda x: -softplus(-x)),
    "mish": (layers.Activation("mish"), lambda x: x * np.tanh(softplus(x))),
    "isinf": (ops.isinf, np.isinf),
    "own_isinf": (Own(tf.math.is_inf), np.isinf),
    "isnan": (ops.isnan, np.isnan),
    "isfinite": (ops.isfinite, np.isfinite),
    "is_positive_infinity": (lambda x: ops.equal(x, INF), lambda x: x == INF),
    "nan_to_num": (
        lambda x: ops.nan_to_num(x, nan=1.0, posinf=9.0, neginf=-9.0),
        lambda x: np.nan_to_num(x, nan=1.0, posinf=9.0, neginf=-9.0),
    ),
    "infinite_constant": (lambda x: ops.where(x > 1.0, -INF, x), lambda x: np.where(x > 1.0, -INF, x)),
    "exp": (ops.exp, np.exp),
    "expm1": (ops.expm1, np.expm1),
    "selu": (
        ops.selu,
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    ),
    "sign": (ops.sign, np.sign),
    "rsqrt": (lambda x: ops.rsqrt(ops.abs(x)), lambda x: 1.0 / np.sqrt(np.abs(x))),
    "sinh": (ops.sinh, np.sinh),
    "cosh": (ops.cosh, np.cosh),
    "arcsinh": (lambda x: ops.arcsinh(ops.clip(x, -100, 100)), lambda x: np.arcsinh(np.clip(x, -100, 100))),
    "arccosh": (lambda x: ops.arccosh(ops.clip(x, 0.5, 100)), lambda x: np.arccosh(np.clip(x, 0.5, 100))),
    "arctanh": (ops.arctanh, np.arctanh),
    "tan": (lambda x: ops.tan(ops.clip(x, -100, 100)), lambda x: np.tan(np.clip(x, -100, 100))),
}


def test_functions_of_a_float_on_large_infinite_and_missing_values(tmp_path: Path) -> None:
    functions = {name: function for name, (function, _) in FUNCTIONS_OF_ONE_FLOAT.items()}
    found = answers(tmp_path / "model.tflite", {"x": FLOATS[:, None]}, functions)
    with np.errstate(all="ignore"):
        for name, (_, reference) in FUNCTIONS_OF_ONE_FLOAT.items():
            expected = np.asarray(reference(FLOATS.astype(np.float64)))
            if expected.dtype.kind == "f":
                expected = expected.astype(np.float32)
            np.testing.assert_allclose(found[name][:, 0], expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_functions_of_two_floats_on_infinite_and_missing_values(tmp_path: Path) -> None:
    x, y = (column.reshape(-1, 1) for column in np.meshgrid(FLOATS, np.float32([2, -2, 0, INF, NAN, 0.3])))
    functions = {"maximum": np.maximum, "minimum": np.minimum, "floor_divide": None}
    found = answers(
        tmp_path / "model.tflite", {"x": x, "y": y}, {name: getattr(ops, name) for name in functions}
    )
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found["maximum"], np.maximum(x, y))
        np.testing.assert_array_equal(found["minimum"], np.minimum(x, y))
        np.testing.assert_array_equal(found["floor_divide"], np.floor(x / y))


def test_the_maximum_of_nan_is_nan(tmp_path: Path) -> None:
    x = np.float32([[7, NAN, 4], [NAN, NAN, NAN], [1, INF, -INF], [3, 2, 9]])
    functions = {name: lambda x, name=name: getattr(ops, name)(x, axis=-1) for name in ("max", "min")}
    functions["kept"] = lambda x: ops.max(x, axis=-1, keepdims=True)
    found = answers(tmp_path / "model.tflite", {"x": x}, functions)
    np.testing.assert_array_equal(found["max"], x.max(-1))
    np.testing.assert_array_equal(found["min"], x.min(-1))
    np.testing.assert_array_equal(found["kept"], x.max(-1, keepdims=True))


def test_roots_of_infinity_are_infinite(tmp_path: Path) -> None:
    x = np.float32([[INF, 9, 16, INF, 0, NAN, 1e-30, 2]])
    found = answers(tmp_path / "model.tflite", {"x": x}, {"sqrt": ops.sqrt, "own": Own(tf.sqrt)})
    for name in found:
        np.testing.assert_allclose(found[name], np.sqrt(x), rtol=1e-6)


def test_narrow_integers_of_negative_floats_wrap_around(tmp_path: Path) -> None:
    x = np.float32([[-1.0], [-100.7], [3.9], [255.0], [300.0], [-129.0]])
    dtypes = ("uint8", "int8", "int16")
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {dtype: lambda x, dtype=dtype: ops.cast(x, dtype) for dtype in dtypes},
    )
    for dtype in dtypes:
        np.testing.assert_array_equal(found[dtype], x.astype(np.int64).astype(dtype))


def test_int64_beyond_32_bits(tmp_path: Path) -> None:
    divisors = np.int64([1, -1, 3, -3, 7, 2**24 + 3, -(2**33) - 1, 2**40 + 1])
    x, y = (column.reshape(-1, 1) for column in np.meshgrid(WIDE, divisors))
    found = answers(
        tmp_path / "model.tflite",
        {"x": x, "y": y},
        {
            "quotient": lambda x, y: x // y,
            "rest": lambda x, y: x % y,
            "size": lambda x, y: ops.abs(x),
            "sign": lambda x, y: ops.sign(x),
        },
    )
    np.testing.assert_array_equal(found["quotient"], x // y)
    np.testing.assert_array_equal(found["rest"], x % y)
    np.testing.assert_array_equal(found["size"], np.abs(x))
    np.testing.assert_array_equal(found["sign"], np.sign(x))


@pytest.mark.parametrize("epsilon", [1e-12, 1e-3])
def test_normalized_rows_of_zeros_and_of_tiny_numbers(epsilon: float, tmp_path: Path) -> None:
    x = np.float32([[0, 0, 0], [3, 4, 0], [1e-8, 1e-8, 0], [-100, 100, 100]])
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {
            "unit": lambda x: layers.UnitNormalization()(x),
            "own": Own(lambda x: tf.math.l2_normalize(x, -1, epsilon=epsilon)),
            "divided": lambda x: (
                x / ops.sqrt(ops.maximum(ops.sum(ops.square(x), -1, keepdims=True), epsilon))
            ),
            "cosine": lambda x: ops.sum(ops.normalize(x) * ops.normalize(x[:, ::-1]), -1),
        },
    )
    wide = x.astype(np.float64)
    norm = np.linalg.norm(wide, axis=-1, keepdims=True)
    np.testing.assert_allclose(found["unit"], wide / np.maximum(norm, 1e-12), rtol=1e-5)
    np.testing.assert_allclose(found["own"], wide / np.sqrt(np.maximum(norm**2, epsilon)), rtol=1e-5)
    np.testing.assert_allclose(found["divided"], wide / np.sqrt(np.maximum(norm**2, epsilon)), rtol=1e-5)
    unit = wide / np.maximum(norm, keras.config.epsilon())
    np.testing.assert_allclose(found["cosine"], (unit * unit[:, ::-1]).sum(-1), rtol=1e-5, atol=1e-7)


def test_ordinary_models_have_no_operator_replaced() -> None:
    """A file of convolutions, normalizations and attention has the same operators as before."""
    image = keras.Input((16, 16, 3))
    h = layers.Conv2D(4, 3, activation="relu")(image)
    h = layers.DepthwiseConv2D(3)(layers.ReLU(6.0)(layers.BatchNormalization()(h)))
    h = layers.Reshape((-1, 4))(layers.LayerNormalization()(layers.MaxPooling2D()(h)))
    h = layers.MultiHeadAttention(2, 2)(h, layers.GroupNormalization(2)(h))
    h = layers.Dense(4, activation="gelu")(layers.GlobalAveragePooling1D()(h))
    model = keras.Model(image, layers.Dense(3, activation="softmax")(h))
    with replaced_operators(TFLITE_OPERATORS) as met:
        tf.function(lambda x: model(x, training=False)).get_concrete_function(
            tf.TensorSpec((None, 16, 16, 3))
        )
    assert not met


def test_functions_outside_a_trace_stay_unchanged() -> None:
    x = tf.constant([NAN, 1.0])
    with replaced_operators(TFLITE_OPERATORS) as met:
        tf.exp(x)
    assert not met
    graph = tf.function(tf.exp).get_concrete_function(tf.TensorSpec((2,))).graph
    assert [node.type for node in graph.get_operations()] == ["Placeholder", "Exp", "Identity"]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32"])
def test_arithmetic_of_integers_wraps_around_as_in_numpy(dtype: str, tmp_path: Path) -> None:
    limits = np.iinfo(dtype)
    values = np.array([0, 1, 2, 7, 100, limits.max, limits.max - 1, limits.min, limits.min + 1], dtype)
    x, y = (column.reshape(-1, 1) for column in np.meshgrid(values, values[values != 0]))
    if dtype == "int32":  # the smallest int32 by -1 is an error in C
        y = np.abs(y // 2) + 1
    functions: dict[str, Callable[[Any, Any], Any]] = {
        "sum": lambda x, y: x + y,
        "difference": lambda x, y: x - y,
        "product": lambda x, y: x * y,
        "quotient": lambda x, y: x // y,
        "rest": lambda x, y: x % y,
        "greater": lambda x, y: x > y,
        "equal": lambda x, y: x == y,
    }
    of_keras = {**functions, "equal": ops.equal, "larger": ops.maximum, "smaller": ops.minimum}
    of_numpy = {**functions, "larger": np.maximum, "smaller": np.minimum}
    found = answers(tmp_path / "model.tflite", {"x": x, "y": y}, of_keras)
    with np.errstate(all="ignore"):
        for name, reference in of_numpy.items():
            np.testing.assert_array_equal(found[name], reference(x, y), err_msg=name)


def test_positions_of_int64(tmp_path: Path) -> None:
    x = np.int64([[3, 2**40 + 1, 2**40, 2**40 + 1], [-(2**40), -(2**40) - 1, 5, -(2**40) - 1]])
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {"largest": lambda x: ops.argmax(x, -1), "smallest": Own(lambda x: tf.argmin(x, -1))},
    )
    np.testing.assert_array_equal(found["largest"], x.argmax(-1))
    np.testing.assert_array_equal(found["smallest"], x.argmin(-1))


def test_reductions_and_order_of_narrow_integers(tmp_path: Path) -> None:
    x = np.random.default_rng(3).integers(-128, 127, (4, 9), np.int8)
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {
            "largest": lambda x: ops.max(x, -1),
            "where": lambda x: ops.argmax(x, -1),
            "best": lambda x: ops.top_k(x, 3)[0],
            "running": lambda x: ops.cumsum(x, -1),
        },
    )
    np.testing.assert_array_equal(found["largest"], x.max(-1))
    np.testing.assert_array_equal(found["where"], x.argmax(-1))
    np.testing.assert_array_equal(found["best"], -np.sort(-x.astype(np.int64))[:, :3])
    np.testing.assert_array_equal(found["running"], np.cumsum(x, -1, dtype=np.int8))


def test_bits_of_int32(tmp_path: Path) -> None:
    bits = np.random.default_rng(5).integers(-(2**31), 2**31, (50, 2)).astype(np.int32)
    bits[:4] = [[-(2**31), -1], [2**31 - 1, -(2**31)], [0, -1], [5, 2**31 - 1]]
    x, y = bits[:, :1], bits[:, 1:]
    found = answers(
        tmp_path / "model.tflite",
        {"x": x, "y": y},
        {
            "both": ops.bitwise_and,
            "either": ops.bitwise_or,
            "one": ops.bitwise_xor,
            "none": lambda x, y: ops.bitwise_not(x),
            "shifted": lambda x, y: ops.left_shift(x, 5),
        },
    )
    np.testing.assert_array_equal(found["both"], x & y)
    np.testing.assert_array_equal(found["either"], x | y)
    np.testing.assert_array_equal(found["one"], x ^ y)
    np.testing.assert_array_equal(found["none"], ~x)
    np.testing.assert_array_equal(found["shifted"], x << 5)


def test_rolled_axes_and_running_products(tmp_path: Path) -> None:
    x = np.random.default_rng(6).normal(size=(2, 5, 7)).astype(np.float32)
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {
            "rolled": lambda x: ops.roll(x, (2, -9), axis=(1, 2)),
            "batch": lambda x: ops.roll(x, 1, axis=0),
            "products": lambda x: ops.cumprod(x, axis=-1),
            "before": Own(lambda x: tf.math.cumprod(x, 1, exclusive=True, reverse=True)),
        },
    )
    np.testing.assert_array_equal(found["rolled"], np.roll(x, (2, -9), axis=(1, 2)))
    np.testing.assert_array_equal(found["batch"], np.roll(x, 1, axis=0))
    np.testing.assert_allclose(found["products"], np.cumprod(x, axis=-1), rtol=1e-5)
    before = np.ones_like(x)
    before[:, :-1] = np.cumprod(x[:, :0:-1], axis=1)[:, ::-1]
    np.testing.assert_allclose(found["before"], before, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_products_of_whole_matrices_are_exact(dtype: str, tmp_path: Path) -> None:
    x = np.random.default_rng(7).integers(-(2**14), 2**14, (3, 4, 5)).astype(dtype)
    weights = np.random.default_rng(8).integers(-(2**14), 2**14, (5, 2)).astype(dtype)
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {
            "squared": Own(lambda x: tf.matmul(x, x, transpose_b=True)),
            "projected": Own(lambda x: tf.tensordot(x, tf.constant(weights), 1)),
        },
    )
    np.testing.assert_array_equal(found["squared"], x @ x.transpose(0, 2, 1))
    np.testing.assert_array_equal(found["projected"], x @ weights)
