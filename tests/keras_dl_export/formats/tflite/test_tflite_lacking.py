"""Functions without a TFLite operator, in the stock interpreter, against NumPy and other libraries."""

import colorsys
import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_dl_export import to_tflite
from tests._support.tflite_answers import INF, NAN, WIDE, Own, answers


def test_sigmoid_of_magnitudes_of_an_input(tmp_path: Path) -> None:
    x = np.float32([[1e30, -1e30, 3e38, INF, -INF, 2.0, NAN, -90.0, 0.0]])
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {
            "sigmoid": ops.sigmoid,
            "gated": lambda x: ops.sigmoid(2.0 * x),
            "silu": lambda x: ops.silu(x[:, :3]),
        },
    )
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found["sigmoid"], 1 / (1 + np.exp(-x)), atol=1e-6)
        np.testing.assert_allclose(found["gated"], 1 / (1 + np.exp(-2 * x)), atol=1e-6)
    np.testing.assert_allclose(found["silu"], np.maximum(x[:, :3], 0))


def test_a_sigmoid_behind_weights_is_one_operator(tmp_path: Path) -> None:
    x = keras.Input((4,))
    gate = layers.Dense(4, activation="sigmoid")(x)
    artifact = to_tflite(keras.Model(x, layers.Dense(2, activation="silu")(gate)), tmp_path / "model.tflite")
    assert set(artifact.operators) == {"FULLY_CONNECTED", "LOGISTIC", "MUL"}


def test_error_functions_and_gelu(tmp_path: Path) -> None:
    x = np.float32([[0.0, 0.1, -0.7, 1.0, -2.5, 6.0, -9.0, INF, -INF]])
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {"erf": ops.erf, "erfc": Own(tf.math.erfc), "scaled": lambda x: ops.erf(3 * x)},
    )
    for name, reference in (("erf", math.erf), ("erfc", math.erfc), ("scaled", lambda v: math.erf(3 * v))):
        np.testing.assert_allclose(found[name], [[reference(v) for v in x[0]]], atol=1e-6)
    i = keras.Input((4,))
    for gelu in (ops.gelu(i, approximate=False), 0.5 * i * (1.0 + ops.erf(i / 2.0**0.5))):
        assert to_tflite(keras.Model(i, gelu), tmp_path / "gelu.tflite").operators.keys() == {"GELU"}


def test_expm1_keeps_its_digits_next_to_zero(tmp_path: Path) -> None:
    x = np.float32([[1e-7, -3e-6, 1e-4, 0.0, 0.99, -0.99, 1.01, 60.0, -60.0]])
    found = answers(tmp_path / "model.tflite", {"x": x}, {"expm1": ops.expm1})
    np.testing.assert_allclose(found["expm1"], np.expm1(x.astype(np.float64)), rtol=1e-5)


def test_reciprocal_roots_keep_the_sign_of_zero(tmp_path: Path) -> None:
    found = answers(tmp_path / "model.tflite", {"x": np.float32([[0.0, -0.0, 4.0]])}, {"root": ops.rsqrt})
    np.testing.assert_array_equal(found["root"], [[INF, -INF, 0.5]])


def test_classes_beyond_32_bits_match_no_class(tmp_path: Path) -> None:
    x = np.int64([[0, 1, 2**32, 2**32 + 1, 2**53, -1, 3, -(2**32) + 2]])
    classes = np.arange(4)
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {
            "one_hot": lambda x: ops.one_hot(x, 4),
            "first": lambda x: ops.one_hot(x, 4, axis=1),
            "multi_hot": lambda x: ops.multi_hot(x, 4),
            "own": lambda x: ops.equal(ops.expand_dims(x, -1), ops.arange(4, dtype="int64")),
        },
    )
    expected = x[..., None] == classes
    np.testing.assert_array_equal(found["one_hot"], expected)
    np.testing.assert_array_equal(found["first"], expected.transpose(0, 2, 1))
    np.testing.assert_array_equal(found["multi_hot"], expected.any(1))
    np.testing.assert_array_equal(found["own"], expected)


def test_counts_of_categories(tmp_path: Path) -> None:
    x = np.int32([[3, 0, 3, 3], [1, 2, 1, 0]])
    weights = np.float32([[0.5, 2, 1, -1], [3, 0, 1, 1]])
    found = answers(
        tmp_path / "model.tflite",
        {"x": x, "weights": weights},
        {
            "count": lambda x, w: layers.CategoryEncoding(5, output_mode="count")(x),
            "weighted": lambda x, w: layers.CategoryEncoding(5, output_mode="count")(x, count_weights=w),
            "multi_hot": lambda x, w: layers.CategoryEncoding(5, output_mode="multi_hot")(x),
        },
    )
    count = np.stack([np.bincount(row, minlength=5) for row in x])
    weighted = np.stack([np.bincount(row, each, 5) for row, each in zip(x, weights, strict=True)])
    np.testing.assert_array_equal(found["count"], count)
    np.testing.assert_array_equal(found["weighted"], weighted)
    np.testing.assert_array_equal(found["multi_hot"], count > 0)


def test_sums_of_segments_some_of_which_are_empty(tmp_path: Path) -> None:
    x = np.float32([[1, 2, 4, 8]])
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {"sums": Own(lambda x: tf.transpose(tf.math.segment_sum(tf.transpose(x), [0, 2, 2, 5])))},
    )
    np.testing.assert_array_equal(found["sums"], [[1, 0, 6, 0, 0, 8]])


def test_bits_of_int64(tmp_path: Path) -> None:
    x, y = (column.reshape(-1, 1) for column in np.meshgrid(WIDE, np.int64([0, -1, 2**40 + 5, -(2**33) - 7])))
    found = answers(
        tmp_path / "model.tflite",
        {"x": x, "y": y},
        {
            "both": ops.bitwise_and,
            "either": ops.bitwise_or,
            "one": ops.bitwise_xor,
            "right": lambda x, y: ops.right_shift(x, 7),
        },
    )
    np.testing.assert_array_equal(found["both"], x & y)
    np.testing.assert_array_equal(found["either"], x | y)
    np.testing.assert_array_equal(found["one"], x ^ y)
    np.testing.assert_array_equal(found["right"], x >> 7)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float16"])
def test_reductions_and_choices_of_other_widths(dtype: str, tmp_path: Path) -> None:
    x = np.array([[0, 1, 2, 7, 127, 100, 5, 3, 9, 64], [200, 3, 3, 90, 0, 0, 7, 250, 1, 2]], dtype)
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {
            "sum": lambda x: ops.sum(x, -1),
            "max": lambda x: ops.max(x, -1),
            "where": lambda x: ops.where(x > 6, x, 0 * x),
            "sorted": lambda x: ops.sort(x, -1),
            "place": lambda x: ops.argmax(x, -1),
            "quotient": lambda x: x // 3,
            "rest": lambda x: x % 3,
        },
    )
    np.testing.assert_array_equal(found["sum"], x.astype(np.int64).sum(-1))
    np.testing.assert_array_equal(found["max"], x.max(-1))
    np.testing.assert_array_equal(found["where"], np.where(x > 6, x, 0))
    np.testing.assert_array_equal(found["sorted"], np.sort(x, -1))
    np.testing.assert_array_equal(found["place"], x.argmax(-1))
    np.testing.assert_array_equal(found["quotient"], x // 3)
    np.testing.assert_array_equal(found["rest"], x % 3)


def test_medians_and_cross_products(tmp_path: Path) -> None:
    x = np.random.default_rng(9).normal(size=(3, 6)).astype(np.float32)
    found = answers(
        tmp_path / "model.tflite",
        {"x": x},
        {
            "median": lambda x: ops.median(x, axis=-1),
            "quantile": lambda x: ops.quantile(x, 0.3, axis=-1),
            "cross": lambda x: ops.cross(x[:, :3], x[:, 3:]),
        },
    )
    np.testing.assert_allclose(found["median"], np.median(x, -1), rtol=1e-5)
    np.testing.assert_allclose(found["quantile"], np.quantile(x, 0.3, -1), rtol=1e-5)
    np.testing.assert_allclose(found["cross"], np.cross(x[:, :3], x[:, 3:]), rtol=1e-5, atol=1e-6)


def test_colors_as_in_colorsys(tmp_path: Path) -> None:
    colors = np.random.default_rng(10).random((1, 4, 5, 3)).astype(np.float32)
    colors[0, 0, :3] = [[0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 0]]
    found = answers(
        tmp_path / "model.tflite", {"x": colors}, {"hsv": ops.image.rgb_to_hsv, "rgb": ops.image.hsv_to_rgb}
    )
    for name, reference in (("hsv", colorsys.rgb_to_hsv), ("rgb", colorsys.hsv_to_rgb)):
        expected = np.apply_along_axis(lambda pixel, reference=reference: reference(*pixel), -1, colors)
        np.testing.assert_allclose(found[name], expected, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bicubic", "area", "lanczos3", "lanczos5", "antialiased"])
def test_interpolations_match_tensorflow(interpolation: str, tmp_path: Path) -> None:
    images = np.random.default_rng(11).random((2, 9, 14, 3)).astype(np.float32)
    named = {"interpolation": "bilinear" if interpolation == "antialiased" else interpolation}
    antialias = interpolation == "antialiased"
    resizing = layers.Resizing(5, 17, antialias=antialias, **named)
    found = answers(tmp_path / "model.tflite", {"x": images}, {"resized": resizing})
    expected = tf.image.resize(images, (5, 17), named["interpolation"], antialias=antialias)
    np.testing.assert_allclose(found["resized"], expected, atol=1e-5)


def test_bicubic_images_of_any_size(tmp_path: Path) -> None:
    image = keras.Input((None, None, 3), name="x")
    model = keras.Model(image, layers.UpSampling2D(2, interpolation="bicubic")(image))
    artifact = to_tflite(
        model, tmp_path / "model.tflite"
    )  # which compares it with the model at several sizes
    assert {"odd sizes", "size 1"} <= set(artifact.parity.kinds)


def test_a_network_that_repeats_pixels_of_images_of_any_size(tmp_path: Path) -> None:
    image = keras.Input((None, None, 3), name="x")
    h = layers.UpSampling2D(2)(layers.MaxPooling2D()(layers.Conv2D(4, 3, padding="same")(image)))
    h = layers.Concatenate()([h, layers.Conv2D(2, 3, padding="same")(image)])
    artifact = to_tflite(keras.Model(image, layers.Conv2D(1, 3)(h)), tmp_path / "model.tflite")
    assert artifact.operators["CONV_2D"] == 3
    assert len({case.sizes["x_height"] for case in artifact.parity.comparisons}) > 1
