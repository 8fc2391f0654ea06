"""Operators of every dtype in ONNX files: stock onnxruntime against NumPy and the Keras model."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_dl_export import ConversionError, to_onnx

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
BIG = [2**24 + 1, 2**24 + 3, 2**24 + 2, 1700000003, 1700000001, 1700000002]  # float32 holds none of the odd


def run(model: keras.Model, path: Path, *inputs: np.ndarray, **options: Any) -> list[np.ndarray]:
    """Write a model and run the file in stock onnxruntime, with the inputs as the examples of parity."""
    named = {tensor.name: array for tensor, array in zip(model.inputs, inputs, strict=True)}
    to_onnx(model, path / "model.onnx", inputs=named, **options)
    session = onnxruntime.InferenceSession(str(path / "model.onnx"))
    names = [tensor.name for tensor in session.get_inputs()]
    answers: list[np.ndarray] = session.run(None, dict(zip(names, inputs, strict=True)))
    return answers


def model_of(function: Callable[..., Any], *inputs: np.ndarray) -> keras.Model:
    tensors = [
        keras.Input(array.shape[1:], dtype=array.dtype.name, name=f"x{index}")
        for index, array in enumerate(inputs)
    ]
    return keras.Model(tensors, function(*tensors))


def integers(dtype: str) -> np.ndarray:
    """Return rows of small, large, negative and equal integers."""
    limits = np.iinfo(dtype)
    values = [0, 1, 2, 3, 3, 7, 100, 97, limits.max, limits.max - 1]
    values += [-1, -7, -7, -100, limits.min + 1, limits.min] if limits.min else [5, 4, 9, 9, 8, 6]
    values += BIG if limits.bits >= 32 else []
    values += [2**31 + 5, 2**40 + 1] if limits.bits == 64 else []
    values = values[: len(values) // 4 * 4]
    return np.random.default_rng(0).permutation(np.array(values, dtype)).reshape(4, -1)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_arithmetic_matches_numpy(dtype: str, tmp_path: Path) -> None:
    x = integers(dtype)
    y = np.where(x[::-1] == 0, 3, x[::-1]).astype(dtype)
    y = np.where((x == np.iinfo(dtype).min) & (y == np.array(-1).astype(dtype)), 2, y).astype(dtype)
    count = np.arange(x.size).reshape(x.shape).astype(dtype) % np.array(8, dtype)
    functions: list[tuple[Callable[..., Any], np.ndarray]] = [
        (lambda x, y, n: x // y, x // y),
        (lambda x, y, n: x % y, x % y),
        (lambda x, y, n: ops.left_shift(x, n), np.left_shift(x, count)),
        (lambda x, y, n: ops.right_shift(x, n), np.right_shift(x, count)),
        (lambda x, y, n: x < y, x < y),
        (lambda x, y, n: x >= y, x >= y),
        (lambda x, y, n: ops.equal(x, y), x == y),
        (lambda x, y, n: ops.maximum(x, y), np.maximum(x, y)),
        (lambda x, y, n: ops.minimum(x, y), np.minimum(x, y)),
        (lambda x, y, n: ops.abs(x), np.abs(x)),
        (lambda x, y, n: ops.where(x < y, x, y), np.where(x < y, x, y)),
        (lambda x, y, n: ops.clip(x, 2, 99), np.clip(x, 2, 99)),
        (lambda x, y, n: ops.pad(x, ((0, 0), (1, 1))), np.pad(x, ((0, 0), (1, 1)))),
    ]
    model = model_of(lambda *tensors: [function(*tensors) for function, _ in functions], x, y, count)
    for (_, wanted), got in zip(functions, run(model, tmp_path, x, y, count), strict=True):
        np.testing.assert_array_equal(got, wanted)
        assert got.dtype == wanted.dtype


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_ordered_and_reduced_exactly(dtype: str, tmp_path: Path) -> None:
    x = integers(dtype)
    top = np.sort(x, axis=-1)[:, ::-1][:, :3]
    first = np.argsort(-x.astype(object), axis=-1, kind="stable")[:, :3]
    functions: list[tuple[Callable[..., Any], np.ndarray]] = [
        (lambda x: ops.sort(x, axis=-1), np.sort(x, axis=-1)),
        (lambda x: ops.argsort(x, axis=-1), np.argsort(x, axis=-1, kind="stable")),
        (lambda x: ops.top_k(x, 3)[0], top),
        (lambda x: ops.top_k(x, 3)[1], first),
        (lambda x: ops.max(x, axis=-1), np.max(x, axis=-1)),
        (lambda x: ops.min(x, axis=-1), np.min(x, axis=-1)),
        (lambda x: ops.argmax(x, axis=-1), np.argmax(x, axis=-1)),
        (lambda x: ops.argmin(x, axis=-1), np.argmin(x, axis=-1)),
        (lambda x: ops.cumsum(x, axis=-1), np.cumsum(x, axis=-1, dtype=dtype)),
        (lambda x: ops.any(x > 3, axis=-1), np.any(x > 3, axis=-1)),
        (lambda x: ops.all(x > 3, axis=-1), np.all(x > 3, axis=-1)),
        (lambda x: ops.flip(x, axis=-1), x[:, ::-1]),
        (lambda x: x[:, ::-2], x[:, ::-2]),
        (lambda x: ops.roll(x, 2, axis=1), np.roll(x, 2, axis=1)),
    ]
    model = model_of(lambda x: [function(x) for function, _ in functions], x)
    for (_, wanted), got in zip(functions, run(model, tmp_path, x), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_integer_sums_and_products_wrap_around_as_the_models_do(tmp_path: Path) -> None:
    small = np.array([[2**31 - 1, 5, 7], [-(2**31), -1, 0]], np.int32)
    large = np.array([[2**53 + 1, 2, -4], [2**63 - 1, 1, 5]], np.int64)
    functions: list[tuple[Any, Any]] = [(ops.sum, np.sum), (ops.prod, np.prod)]
    model = model_of(lambda *xs: [made(x, axis=-1) for made, _ in functions for x in xs], small, large)
    wanted = [function(x, axis=-1, dtype=x.dtype) for _, function in functions for x in (small, large)]
    for got, want in zip(run(model, tmp_path, small, large), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_the_lowest_integer_by_minus_one_wraps_around(dtype: str, tmp_path: Path) -> None:
    """The processor has no such quotient and ends a process that divides these."""
    lowest = np.iinfo(dtype).min
    x, y = np.array([[lowest, lowest, 7, -7]], dtype), np.array([[-1, 2, -1, 2]], dtype)
    truncated = layers.Lambda(lambda pair: tf.truncatediv(*pair))
    model = model_of(lambda x, y: [x // y, x % y, truncated((x, y)), x // -1], x, y)
    down, rest, to_zero, opposite = run(model, tmp_path, x, y)
    np.testing.assert_array_equal(down, [[lowest, lowest // 2, -7, -4]])
    np.testing.assert_array_equal(rest, [[0, 0, 0, 1]])
    np.testing.assert_array_equal(to_zero, [[lowest, lowest // 2, -7, -3]])
    np.testing.assert_array_equal(opposite, [[lowest, lowest, -7, 7]])


def test_windows_of_large_integers_are_compared_exactly(tmp_path: Path) -> None:
    x = np.array(BIG, np.int32).reshape(1, 2, 3, 1)
    (got,) = run(model_of(lambda x: ops.max_pool(x, (1, 2), 1), x), tmp_path, x)
    np.testing.assert_array_equal(got, np.maximum(x[:, :, :-1], x[:, :, 1:]))


@pytest.mark.parametrize("opset", [13, 18])
def test_classes_out_of_range_are_all_zeros(opset: int, tmp_path: Path) -> None:
    x = np.array([[-1, 0], [2, 3], [1, 100], [-3, 2]], np.int32)
    functions: list[Callable[[Any], Any]] = [
        lambda x: ops.one_hot(x, 3),
        lambda x: ops.one_hot(x, 3, dtype="int64"),
        lambda x: ops.one_hot(x, 3, dtype="bool"),
        lambda x: ops.one_hot(ops.cast(x, "int8"), 3, axis=1, dtype="float16"),
        lambda x: ops.one_hot(ops.cast(x, "int64"), 3, axis=0),
        lambda x: ops.multi_hot(x, 3),
    ]
    model = model_of(lambda x: [function(x) for function in functions], x)
    answers = run(model, tmp_path, x, opset=opset)
    plain = (x[..., None] == np.arange(3)).astype(np.float32)
    wanted = [plain, plain, plain, plain.transpose(0, 2, 1), plain.transpose(2, 0, 1), plain.max(axis=1)]
    dtypes = ("float32", "int64", "bool", "float16", "float32", "float32")
    for got, classes, dtype in zip(answers, wanted, dtypes, strict=True):
        np.testing.assert_array_equal(got, classes.astype(dtype))
        assert got.dtype == dtype


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_at_the_ends_of_their_range(dtype: str, tmp_path: Path) -> None:
    x = np.array([[-np.inf, np.inf, np.nan, 0.0], [-88.9, 100, -2.5, -0.0], [7.7, -7.7, 0.5, -0.5]], dtype)
    y = np.array([[2, -2, 1, 3], [3, -3, 2, -2], [-3, 3, np.inf, -np.inf]], dtype)
    finite = np.array([[1.0, 0.0, 3.0, -1.0]] * 3, dtype)
    functions: list[tuple[Callable[..., Any], Any]] = [
        (lambda x, y, z: z // y, np.floor_divide(finite, y)),
        (lambda x, y, z: x % y, np.where(np.isinf(x), np.nan, np.mod(x, y))),
        (lambda x, y, z: ops.softplus(x), np.logaddexp(x, np.zeros_like(x))),
        (lambda x, y, z: ops.isinf(x), np.isinf(x)),
        (lambda x, y, z: ops.isfinite(x), np.isfinite(x)),
        (lambda x, y, z: ops.isnan(x), np.isnan(x)),
        (lambda x, y, z: ops.sign(x), np.sign(x)),
        (lambda x, y, z: ops.nan_to_num(x, posinf=3, neginf=-4), np.nan_to_num(x, posinf=3, neginf=-4)),
        (lambda x, y, z: ops.where(ops.isfinite(x), x, y), np.where(np.isfinite(x), x, y)),
        (lambda x, y, z: ops.round(x), np.round(x)),
        (lambda x, y, z: ops.maximum(x, y), np.maximum(x, y)),
    ]
    if dtype == "float32":
        functions.append((lambda x, y, z: ops.arctan2(x, y), np.arctan2(x, y)))
    model = model_of(lambda *tensors: [function(*tensors) for function, _ in functions], x, y, finite)
    for (_, wanted), got in zip(functions, run(model, tmp_path, x, y, finite), strict=True):
        np.testing.assert_allclose(
            got, wanted.astype(got.dtype), rtol=2e-3 if dtype == "float16" else 1e-5, atol=1e-5
        )


def test_casts_in_a_row_round_as_written(tmp_path: Path) -> None:
    x = np.array([[2**24 + 1, 256, -1]], np.int32)
    model = model_of(
        lambda x: [
            ops.cast(ops.cast(x, "float32"), "int32"),
            ops.cast(ops.cast(x, "uint8"), "bool"),
            ops.cast(ops.cast(ops.cast(x, "float32"), "float16"), "float32"),
        ],
        x,
    )
    rounded, truncated, halves = run(model, tmp_path, x)
    np.testing.assert_array_equal(rounded, x.astype(np.float32).astype(np.int32))
    np.testing.assert_array_equal(truncated, x.astype(np.uint8).astype(bool))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(halves, x.astype(np.float16).astype(np.float32))


@keras.saving.register_keras_serializable("test")
class Put(layers.Layer):
    """Write a block at a position into an array, batch by batch."""

    def call(self, array: Any, block: Any, position: Any) -> Any:
        return ops.slice_update(array, [0, position[0], position[1]], block)

    def compute_output_spec(self, array: Any, block: Any, position: Any) -> Any:
        return keras.KerasTensor(array.shape, array.dtype)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_a_block_is_written_at_a_position_kept_within(dtype: str, tmp_path: Path) -> None:
    array = keras.Input((5, 6), batch_size=2, dtype=dtype, name="array")
    block = keras.Input((2, 3), batch_size=2, dtype=dtype, name="block")
    position = keras.Input(batch_shape=(2,), dtype="int32", name="position")
    model = keras.Model([array, block, position], Put()(array, block, position))
    given = np.random.default_rng(0).integers(-9, 9, (2, 5, 6)).astype(dtype)
    part = np.random.default_rng(1).integers(-9, 9, (2, 2, 3)).astype(dtype)
    to_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for row, column in ((0, 0), (3, 2), (9, -4)):
        feeds = {"array": given, "block": part, "position": np.array([row, column], np.int32)}
        (answer,) = session.run(None, feeds)
        wanted = given.copy()
        top, left = min(max(row, 0), 3), min(max(column, 0), 3)
        wanted[:, top : top + 2, left : left + 3] = part
        np.testing.assert_array_equal(answer, wanted)


def test_values_for_one_position_are_added(tmp_path: Path) -> None:
    places, values = np.array([0, 3, 3, 4], np.int32), np.float32([[1, 2], [3, 4], [5, -6], [7, 8]])

    def scattered(places: Any, values: Any) -> list[Any]:
        return [
            ops.scatter(ops.expand_dims(places, -1), values, (6, 2)),
            ops.segment_sum(values, places, num_segments=6),
            ops.segment_max(values, places, num_segments=6),
        ]

    model = model_of(scattered, places, values)
    summed, segments, largest = run(model, tmp_path, places, values)
    wanted = np.zeros((6, 2), np.float32)
    np.add.at(wanted, places, values)
    np.testing.assert_array_equal(summed, wanted)
    np.testing.assert_array_equal(segments, wanted)
    np.testing.assert_array_equal(largest[3], [5, 4])


def test_products_and_ranks_of_scores(tmp_path: Path) -> None:
    x = np.float32([[3, -2, 0.5, 4, 1], [0, 1, 2, 3, 4], [5, 5, 1, 5, 0]])
    target = np.array([1, 4, 3], np.int32)
    outer = layers.Lambda(lambda x: tf.einsum("bI,bi->bIi", x, x))
    functions: list[tuple[Callable[..., Any], np.ndarray]] = [
        (lambda x, t: ops.cumprod(x, axis=1), np.cumprod(x, axis=1)),
        (lambda x, t: ops.in_top_k(t, x, 2), np.array([False, True, True])),
        (lambda x, t: ops.in_top_k(t + 3, x, 2), np.array([False, False, False])),
        (lambda x, t: ops.cross(x[:, :3], x[:, 2:]), np.cross(x[:, :3], x[:, 2:])),
        (lambda x, t: ops.relu(t - 2), np.maximum(target - 2, 0)),
        (lambda x, t: ops.linspace(x[:, 0], x[:, 1], 3, axis=1), np.linspace(x[:, 0], x[:, 1], 3, axis=1)),
        (lambda x, t: outer(x), x[:, :, None] * x[:, None, :]),
    ]
    model = model_of(lambda *tensors: [function(*tensors) for function, _ in functions], x, target)
    for (_, wanted), got in zip(functions, run(model, tmp_path, x, target), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_colors_are_converted_as_in_the_standard_library(tmp_path: Path) -> None:
    random = np.random.default_rng(0).random((1, 4, 5, 3))
    corners = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [1, 0, 1], [0.5, 0.5, 0.2]]).reshape(1, 1, 5, 3)
    x = np.concatenate([random, corners], axis=1).astype(np.float32)
    model = model_of(lambda x: [ops.image.rgb_to_hsv(x), ops.image.hsv_to_rgb(x)], x)
    functions = (colorsys.rgb_to_hsv, colorsys.hsv_to_rgb)
    for function, got in zip(functions, run(model, tmp_path, x), strict=True):
        wanted = np.apply_along_axis(lambda color, function=function: np.array(function(*color)), -1, x)
        np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 9, 3), (None, None, 2)])
def test_images_are_resized_by_cubic_curves(shape: tuple[int | None, ...], tmp_path: Path) -> None:
    tensor = keras.Input(shape, name="x")
    model = keras.Model(
        tensor, [ops.image.resize(tensor, size, interpolation="bicubic") for size in ((13, 11), (3, 2))]
    )
    x = np.random.default_rng(0).random((2, 7, 9, shape[-1] or 1)).astype(np.float32)
    for got, wanted in zip(run(model, tmp_path, x, tolerance=3e-3), model.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(got, wanted, atol=3e-3)  # TensorFlow rounds the places on the curve


def test_triangles_and_margins_of_infinities(tmp_path: Path) -> None:
    x = np.full((2, 3, 4), np.inf, np.float32)
    margins = ((0, 0), (1, 2), (3, 1))
    functions: list[tuple[Callable[..., Any], np.ndarray]] = [
        (ops.tril, np.tril(x)),
        (lambda x: ops.triu(x, 1), np.triu(x, 1)),
        (lambda x: ops.pad(x, margins, mode="symmetric"), np.pad(x, margins, mode="symmetric")),
        (lambda x: ops.pad(x, margins, mode="reflect"), np.pad(x, margins, mode="reflect")),
    ]
    model = model_of(lambda x: [function(x) for function, _ in functions], x)
    for (_, wanted), got in zip(functions, run(model, tmp_path, x, opset=15), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_an_operator_of_a_later_opset_is_refused_with_that_opset(tmp_path: Path) -> None:
    x = integers("int32")
    with pytest.raises(ConversionError, match=r"BitwiseAnd.*opset=18"):
        to_onnx(model_of(lambda x: ops.bitwise_and(x, x), x), tmp_path / "model.onnx", opset=17)


def test_an_operator_that_onnxruntime_lacks_is_refused_by_name(tmp_path: Path) -> None:
    x = np.ones((2, 3))
    with pytest.raises(ConversionError, match=r"no Tan of float64.*keras\.ops\.cast"):
        to_onnx(model_of(ops.tan, x), tmp_path / "model.onnx")


@keras.saving.register_keras_serializable("test")
class ReducedAttention(layers.Layer):
    """Attention over spatially reduced keys, as in SegFormer and the pyramid vision transformer."""

    def build(self, shape: Any) -> None:
        self.reduce, self.key = layers.Conv2D(8, 2, strides=2), layers.Dense(8)
        self.reduce.build((None, 4, 4, 8))
        self.key.build((None, None, 8))
        self.built = True

    def call(self, x: Any) -> Any:
        batch, tokens, channels = ops.shape(x)
        query = ops.transpose(ops.reshape(x, (batch, tokens, 1, channels)), (0, 2, 1, 3))
        few = ops.reshape(self.reduce(ops.reshape(x, (batch, 4, 4, channels))), (batch, -1, channels))
        key = ops.transpose(ops.reshape(self.key(few), (batch, -1, 1, channels)), (0, 2, 1, 3))
        found = ops.matmul(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))), key)
        return ops.reshape(ops.transpose(found, (0, 2, 1, 3)), (batch, tokens, channels))


def test_spatial_reduction_attention(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3, 16, 8)).astype(np.float32)
    model = model_of(ReducedAttention(), x)
    (answer,) = run(model, tmp_path, x)
    np.testing.assert_allclose(answer, model.predict(x, verbose=0), rtol=1e-4, atol=1e-4)
