"""The capabilities of every model: one test a capability, over the whole registry.

In a process with two devices, which test_two_devices.py starts, every model is created and trained
under a `MirroredStrategy`.
"""

from __future__ import annotations

import functools
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import load_model
from keras_dl.callbacks import restore_state, save_state
from keras_dl_export import Endpoint
from tests.conformance.registry import CASES, Case

BATCH = 8
TWO_DEVICES = len(tf.config.list_logical_devices("CPU")) == 2


PARAMETERS = [
    pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else []) for case in CASES
]


@pytest.fixture(scope="module", params=PARAMETERS)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module")
def fitted(case: Case) -> tuple[Any, dict[str, list[float]]]:
    with scope(case):
        model = make(case)
    history = train(model, case, epochs=2, validation_data=validation(case))
    return model, history.history


@functools.cache
def strategy() -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def scope(case: Case) -> Any:
    """Return the context in which the models of a case are created."""
    return strategy().scope() if TWO_DEVICES and case.replicas else nullcontext()


def make(case: Case) -> Any:
    keras.utils.set_random_seed(1)
    model = case.build()
    case.compile(model)
    return model


def train(model: Any, case: Case, **options: Any) -> Any:
    return model.fit(*case.fit, batch_size=BATCH, shuffle=False, verbose=0, **options)


def validation(case: Case) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(case.fit if len(case.fit) > 1 else case.fit[0]).batch(BATCH)


def outputs(model: Any, case: Case) -> np.ndarray[Any, Any]:
    inputs = case.fit[0] if case.predict is None else case.predict
    return model.predict(inputs, batch_size=BATCH, verbose=0)


def optimizers(model: Any) -> dict[str, Any]:
    found = {name: value for name, value in vars(model).items() if isinstance(value, keras.Optimizer)}
    return {name: found[name] for name in sorted(found)}


def assert_same_state(one: Any, other: Any) -> None:
    for first, second in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert optimizers(one).keys() == optimizers(other).keys()
    for name, optimizer in optimizers(one).items():
        twin = optimizers(other)[name]
        for first, second in zip(optimizer.variables, twin.variables, strict=True):
            np.testing.assert_array_equal(first.numpy(), second.numpy(), err_msg=first.path)


def test_config_round_trip(case: Case) -> None:
    model = case.build()
    config = keras.saving.serialize_keras_object(model)
    twin = keras.saving.deserialize_keras_object(config)
    assert type(twin) is type(model)
    assert twin.get_config() == model.get_config()
    assert [weight.shape for weight in twin.weights] == [weight.shape for weight in model.weights]


def test_fit_reports_finite_metrics_and_the_same_for_validation(fitted: Any) -> None:
    _, history = fitted
    trained = {name for name in history if not name.startswith("val_")}
    assert trained
    assert {f"val_{name}" for name in trained} <= set(history)
    assert all(np.isfinite(values).all() for values in history.values())


def test_evaluate_is_repeatable(case: Case, fitted: Any) -> None:
    model, history = fitted
    first, second = (model.evaluate(validation(case), verbose=0, return_dict=True) for _ in range(2))
    assert first == second
    assert {f"val_{name}" for name in first} <= set(history)


def test_predict_returns_one_finite_output_an_example(case: Case, fitted: Any) -> None:
    predicted = outputs(fitted[0], case)
    assert len(predicted) == len(case.fit[0])
    assert np.isfinite(predicted).all()


@pytest.fixture
def reloaded(case: Case, fitted: Any, tmp_path: Path) -> Any:
    fitted[0].save(tmp_path / "model.keras")
    with scope(case):
        return load_model(tmp_path / "model.keras")


def test_training_continues_from_a_keras_file_and_from_a_checkpoint(
    case: Case, fitted: Any, reloaded: Any, tmp_path: Path
) -> None:
    model, _ = fitted
    assert type(reloaded) is type(model)
    assert_same_state(model, reloaded)
    np.testing.assert_array_equal(outputs(reloaded, case), outputs(model, case))
    train(model, case)
    train(reloaded, case)
    assert_same_state(model, reloaded)

    save_state(model, tmp_path / "checkpoint.npz")
    train(reloaded, case)  # changes the state, so that all of it must be restored
    restore_state(reloaded, tmp_path / "checkpoint.npz")
    assert_same_state(model, reloaded)
    train(model, case)
    train(reloaded, case)
    assert_same_state(model, reloaded)


def test_eager_training_equals_graph_training(case: Case, fitted: Any, reloaded: Any) -> None:
    model, _ = fitted
    reloaded.run_eagerly = True
    train(model, case)
    train(reloaded, case)
    for first, second in zip(model.get_weights(), reloaded.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_weights_round_trip(case: Case, fitted: Any, tmp_path: Path) -> None:
    model, _ = fitted
    model.save_weights(tmp_path / "model.weights.h5")
    with scope(case):
        twin = case.build()
    outputs(twin, case)  # builds the model
    twin.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(outputs(twin, case), outputs(model, case))


def test_mixed_precision_keeps_variables_heads_and_metrics_in_float32(case: Case) -> None:
    if not case.mixed_precision:
        pytest.skip(f"{case.name} has no float16 form")
    # A float16 loss is scaled, and each of several replicas would scale it by itself.
    policy = "mixed_bfloat16" if TWO_DEVICES else "mixed_float16"
    keras.config.set_dtype_policy(policy)
    try:
        with scope(case):
            model = make(case)
    finally:
        keras.config.set_dtype_policy("float32")
    history = train(model, case).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    assert optimizers(model)
    for optimizer in optimizers(model).values():
        assert TWO_DEVICES or isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        assert optimizer.iterations.numpy() > 0
    for endpoint in model.endpoints().values():
        for name, value in endpoint.function(**example(endpoint, 2)).items():
            assert value.dtype in (tf.float32, tf.int32, tf.int64), name


def test_endpoints_match_their_specs(fitted: Any) -> None:
    endpoints = fitted[0].endpoints()
    assert "serving_default" in endpoints
    for name, endpoint in endpoints.items():
        signature = {key: tensor_spec(spec) for key, spec in endpoint.inputs.items()}
        traced = tf.function(endpoint.function).get_concrete_function(**signature)
        for size in (2, 3):
            inputs = example(endpoint, size)
            eager, graph, again = endpoint.function(**inputs), traced(**inputs), traced(**inputs)
            assert eager
            assert eager.keys() == graph.keys()
            for key, value in eager.items():
                assert value.shape[0] == size, (name, key)
                np.testing.assert_allclose(value, graph[key], rtol=1e-4, atol=1e-5, err_msg=f"{name}/{key}")
                np.testing.assert_array_equal(graph[key], again[key], err_msg=f"{name}/{key}")


def tensor_spec(spec: Any) -> tf.TensorSpec:
    return tf.TensorSpec([None if isinstance(size, str) else size for size in spec.shape], spec.dtype)


def example(endpoint: Endpoint, batch: int) -> dict[str, tf.Tensor]:
    """Return inputs of an endpoint: the given batch size, every other dynamic axis 4, integers 0."""
    random = np.random.default_rng(batch)
    inputs = {}
    for name, spec in endpoint.inputs.items():
        shape = [batch if size == "batch" else 4 if isinstance(size, str) else size for size in spec.shape]
        inputs[name] = tf.cast(random.random(shape), spec.dtype)
    return inputs


@pytest.mark.skipif(not TWO_DEVICES, reason="needs two devices: test_two_devices.py runs it")
def test_two_devices_train_as_one_does(case: Case, fitted: Any) -> None:
    if not case.replicas:
        with strategy().scope(), pytest.raises(ValueError, match="strategy: expected one replica"):
            train(make(case), case)
        return
    alone = train(make(case), case, epochs=2, validation_data=validation(case)).history
    _, together = fitted
    assert together.keys() == alone.keys()
    for name, values in alone.items():
        assert together[name] == pytest.approx(values, rel=1e-3, abs=1e-4), name
