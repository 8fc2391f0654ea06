"""The samples of the parity check: a file that is wrong on one of them is refused."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_dl_export import ConversionError, ParityError, to_onnx, to_saved_model, to_tflite
from keras_dl_export.formats.registry import open_runners
from keras_dl_export.formats.saved_model.saved_model_writer import write_saved_model
from keras_dl_export.insight import look_into
from keras_dl_export.parity.checking import check_parity
from keras_dl_export.predictor import Predictor
from keras_dl_export.samples.references import Sample
from keras_dl_export.tracing import trace_endpoints


def model_of(shape: tuple[Any, ...], function: Any, dtype: str = "float32") -> keras.Model:
    x = keras.Input(shape, dtype=dtype, name="x")
    return keras.Model(x, function(x))


def cases_of(model: keras.Model, kind: str) -> list[Sample]:
    return [sample for sample in trace_endpoints(model)["serving_default"].samples if kind in sample.kinds]


def file_passes(model: keras.Model, other: Any, path: Path) -> None:
    """Compare a file of `other` with the model, as parity compares a wrongly converted file."""
    (signature,) = trace_endpoints(model).values()
    (wrong,) = trace_endpoints(other).values()
    write_saved_model({"serving_default": wrong}, path)
    check_parity(open_runners(path, "saved_model"), {"serving_default": signature}, "file")


# Each pair agrees on floats in (-1, 1) and on 0 and 1, which is how wrong files used to pass.
WRONG = [
    ("float32", ops.softplus, lambda x: ops.log(ops.exp(x) + 1.0), "large"),
    ("float32", lambda x: x, lambda x: ops.clip(x, -50.0, 50.0), "large"),
    (
        "float32",
        lambda x: ops.normalize(x),
        lambda x: x / ops.sqrt(ops.sum(x * x, -1, keepdims=True)),
        "zeros",
    ),
    ("float32", lambda x: ops.cast(ops.isinf(x), "float32"), lambda x: x * 0.0, "non-finite"),
    ("float32", lambda x: ops.nan_to_num(x, nan=7.0), lambda x: x, "non-finite"),
    ("int32", lambda x: x // 3600, lambda x: ops.cast(ops.trunc(x / 3600), "int32"), "negative integers"),
    (
        "int32",
        lambda x: ops.one_hot(x, 3),
        lambda x: ops.one_hot(ops.where(x < 0, x + 3, x), 3),
        "negative integers",
    ),
    ("int32", lambda x: x, lambda x: ops.cast(ops.cast(x, "float32"), "int32"), "integers above 2^24"),
    ("int64", lambda x: x, lambda x: ops.cast(ops.cast(x, "int32"), "int64"), "integers above 2^31"),
    (
        "uint8",
        lambda x: ops.cast(x, "int32"),
        lambda x: ops.cast(ops.cast(x, "int8"), "int32"),
        "whole range",
    ),
    (
        "int64",
        lambda x: ops.cast(x > 1_700_000_123, "int32"),
        lambda x: ops.cast(x > 1_700_000_122, "int32"),
        "integers above 2^24",
    ),
]


@pytest.mark.parametrize(("dtype", "right", "wrong", "kind"), WRONG, ids=[f"{w[0]} {w[3]}" for w in WRONG])
def test_a_file_that_is_wrong_on_values_of_the_field_is_refused(
    dtype: str, right: Any, wrong: Any, kind: str, tmp_path: Path
) -> None:
    model = model_of((4,), right, dtype)
    with pytest.raises(ParityError, match=f"file: endpoint 'serving_default'.*{kind.replace('^', '.')}"):
        file_passes(model, model_of((4,), wrong, dtype), tmp_path)


def test_images_have_odd_sizes_and_sizes_on_both_sides_of_a_crop(tmp_path: Path) -> None:
    model = model_of((None, None, 2), layers.CenterCrop(24, 24))
    sizes = [
        (sample.sizes["x_height"], sample.sizes["x_width"])
        for sample in trace_endpoints(model)["serving_default"].samples
    ]
    assert {(1, 1), (23, 25), (25, 23), (23, 23), (24, 24)} <= set(sizes)
    # A pooling that drops the last row and column of an odd size, where "same" fills them up.
    model = model_of((None, None, 2), layers.MaxPooling2D(2, padding="same"))
    with pytest.raises(ParityError, match="size 1|odd sizes"):
        file_passes(model, model_of((None, None, 2), layers.MaxPooling2D(2)), tmp_path)


def test_sequences_have_one_step_and_lengths_at_a_window() -> None:
    model = model_of((None, 3), layers.Conv1D(2, 5, padding="same"))
    times = {sample.sizes["x_time"] for sample in trace_endpoints(model)["serving_default"].samples}
    assert {1, 4, 5, 6} <= times
    valid = model_of((None, 3), layers.Conv1D(2, 5))
    assert min(sample.sizes["x_time"] for sample in trace_endpoints(valid)["serving_default"].samples) == 5, (
        "the model fails below"
    )
    deep = model_of((None, 3), lambda x: layers.MaxPooling1D(4)(layers.MaxPooling1D(4)(x)))
    assert trace_endpoints(deep)["serving_default"].samples, "it fails at the sizes that are drawn first"


def test_large_values_are_near_100_of_both_signs_and_one_example_is_zero() -> None:
    (sample,) = cases_of(model_of((40,), layers.Dense(2)), "large")
    positive, negative, zero = sample.inputs["x"]
    np.testing.assert_array_equal(np.sign(positive), -np.sign(negative))
    assert not zero.any()
    assert 90 < positive.max() <= 100
    assert sample.kinds == ("large", "zeros")


def test_a_fixed_batch_has_each_kind_in_a_call_of_its_own() -> None:
    x = keras.Input(batch_shape=(1, 1), name="x")
    large = cases_of(keras.Model(x, x * 2.0), "large")
    assert sorted(np.sign(sample.inputs["x"]).item() for sample in large) == [-1.0, 1.0]
    (zero,) = cases_of(keras.Model(x, x * 2.0), "zeros")
    assert not zero.inputs["x"].any()


def test_infinities_are_tried_where_they_are_kept_and_nan_where_it_is_compared() -> None:
    def tried(function: Any) -> np.ndarray:
        return np.concatenate(
            [sample.inputs["x"].ravel() for sample in cases_of(model_of((4,), function), "non-finite")]
        )

    assert np.isnan(tried(ops.isnan)).any()
    assert np.isinf(tried(ops.relu)).any()
    assert not np.isnan(tried(ops.relu)).any(), "kernels differ in what they make of a NaN"
    assert not cases_of(model_of((4,), layers.Dense(2)), "non-finite"), "they spoil every sum"
    two = model_of((4,), lambda x: {"flag": ops.isnan(x), "sum": ops.relu(layers.Dense(2)(x))})
    both = cases_of(two, "non-finite")
    assert both
    assert all(set(sample.outputs) == {"flag"} for sample in both)


def test_indices_stay_in_range_and_other_integers_do_not() -> None:
    user = keras.Input((1,), dtype="int32", name="user")
    time = keras.Input((1,), dtype="int64", name="time")
    model = keras.Model([user, time], [layers.Embedding(9, 2)(user), time // 3600])
    for kind in ("negative integers", "integers above 2^24"):
        users, times = (
            np.concatenate([sample.inputs[name] for sample in cases_of(model, kind)])
            for name in ("user", "time")
        )
        assert users.min() >= 0
        assert users.max() < 9
        assert np.abs(times).max() > 3600
    hours = model_of((9,), lambda x: x // 3600, "int64")
    values = np.concatenate([sample.inputs["x"].ravel() for sample in cases_of(hours, "negative integers")])
    assert {3599, 3600, 3601, -3600} <= set(values.tolist())


def test_a_divisor_is_never_zero_and_differs_from_what_it_divides(tmp_path: Path) -> None:
    def quotient(floor: bool) -> keras.Model:
        tensors = [keras.Input((3,), dtype="int32", name=name) for name in ("x", "y")]
        divide = layers.Lambda(lambda pair: pair[0] // pair[1] if floor else tf.truncatediv(*pair))
        return keras.Model(tensors, divide(tensors))

    model = quotient(floor=True)
    samples = cases_of(model, "negative integers")
    assert samples
    assert all(
        sample.inputs["y"].all() and (sample.inputs["x"] != sample.inputs["y"]).all() for sample in samples
    )
    with pytest.raises(ParityError, match="negative integers"):
        file_passes(model, quotient(floor=False), tmp_path / "wrong")


@pytest.mark.parametrize(
    ("function", "sizes"),
    [
        (lambda x: ops.sum(x, -1), False),
        (lambda x: tf.range(x[0, 0]), True),
        (lambda x: tf.zeros([x[0, 0], 2]), True),
        (lambda x: tf.repeat(tf.ones([4]), x[0]), True),
        (lambda x: tf.while_loop(lambda i: i < x[0, 0], lambda i: (i + 1,), (tf.constant(0),))[0], True),
    ],
)
def test_integers_that_determine_a_size_stay_small(function: Any, sizes: bool) -> None:
    traced = tf.function(lambda **inputs: {"y": function(inputs["x"])}, autograph=False)
    graph = traced.get_concrete_function(x=tf.TensorSpec((None, 4), tf.int32, name="x"))
    assert look_into(graph, ["x"]).inputs["x"].sizes is sizes


def test_rounding_noise_is_large_where_a_sum_cancels_or_a_wave_is_steep() -> None:
    model = model_of((1000,), lambda x: ops.sin(1e4 * ops.sum(x, -1)))
    (signature,) = trace_endpoints(model).values()
    (sample,) = [sample for sample in signature.samples if "large" in sample.kinds]
    assert sample.noise is not None
    noise = sample.noise()["output"]
    assert noise[0] > 1e-3
    assert noise[2] == 0.0, "zeros stay zeros"
    day = model_of((1,), lambda x: ops.cos(ops.cast(x, "float32")), "int32")
    predictor = Predictor(trace_endpoints(day)["serving_default"].endpoint)
    assert predictor.noise({"x": np.array([[1_700_000_000]], np.int32)})["output"].max() > 1e-2


def test_the_reference_is_predict(tmp_path: Path) -> None:
    """Keras rounds a resized uint8 image where it is called eagerly, and does not in `predict`."""
    model = model_of((8, 8, 3), lambda x: layers.Rescaling(1 / 127.5, -1)(layers.Resizing(5, 5)(x)), "uint8")
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    for to, name in ((to_saved_model, "m"), (to_tflite, "m.tflite"), (to_onnx, "m.onnx")):
        artifact = to(model, tmp_path / name, inputs=images)
        (note,) = artifact.notes
        assert "follows predict()" in note
        answers = open_runners(artifact.path, artifact.format)["serving_default"]({"x": images})
        np.testing.assert_allclose(answers["output"], model.predict(images, verbose=0), atol=1e-5)


def test_a_layer_called_with_training_true_is_noted() -> None:
    class Scale(layers.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            return x * (2.0 if training else 1.0)

    class Loud(layers.Layer):
        def __init__(self, training: bool) -> None:
            super().__init__()
            self.scale, self.training = Scale(name="louder"), training

        def call(self, x: Any) -> Any:
            return self.scale(x, training=self.training)

    (signature,) = trace_endpoints(model_of((4,), Loud(True))).values()
    (note,) = signature.notes
    assert "louder" in note
    assert "training=True" in note
    assert not trace_endpoints(model_of((4,), Loud(False)))["serving_default"].notes


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("write", [to_saved_model, to_tflite, to_onnx])
def test_nan_weights_are_refused_by_name(value: float, write: Any, tmp_path: Path) -> None:
    model = model_of((4,), layers.Dense(2, name="diverged"))
    model.set_weights([np.full((4, 2), 3e38), np.array([1.0, value])])
    with pytest.raises(ConversionError, match="finite weights.*1 of the 2 .*'diverged/bias'"):
        write(model, tmp_path / "m")
    assert not any(tmp_path.iterdir())


def test_a_16_bit_model_is_not_sampled_where_it_overflows() -> None:
    model = model_of((4,), layers.Dense(2, dtype="mixed_float16"))
    (signature,) = trace_endpoints(model).values()
    assert {kind for sample in signature.samples for kind in sample.kinds} == {"uniform"}


def test_a_model_that_fails_on_all_integers_is_refused_with_the_reason() -> None:
    x = keras.Input((4,), dtype="int32", name="x")
    with pytest.raises(ValueError, match=r"fails on example inputs: .*division by zero.*Pass inputs="):
        trace_endpoints(keras.Model(x, x // (x * 0)))


def test_magnitudes_that_stand_for_missing_values_are_tried() -> None:
    found = cases_of(model_of((4,), lambda x: ops.sigmoid(x)), "non-finite")
    assert any((np.abs(sample.inputs["x"]) == np.float32(1e30)).any() for sample in found)


def test_an_infinity_that_a_softmax_mixes_with_others_is_not_compared() -> None:
    masked = model_of((5, 2), lambda x: layers.Softmax(axis=1)(x, mask=x > 0))
    assert not any(np.isinf(sample.inputs["x"]).any() for sample in cases_of(masked, "non-finite"))
    replaced = model_of((5,), lambda x: ops.softmax(ops.nan_to_num(x, nan=0.0, posinf=9.0, neginf=-9.0)))
    assert any(np.isinf(sample.inputs["x"]).any() for sample in cases_of(replaced, "non-finite"))
