"""The fused update against Keras's own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl.optimizers import Adam

OPTIONS: list[dict[str, Any]] = [
    {},
    {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
    {"weight_decay": 0.1, "global_clipnorm": 0.5},
    {"use_ema": True, "ema_momentum": 0.5},
    {"amsgrad": True},
    {"gradient_accumulation_steps": 2},
    {"learning_rate": keras.optimizers.schedules.CosineDecay(0.1, 10)},
]


def walk(optimizer: Any, dtype: str = "float32") -> list[np.ndarray[Any, Any]]:
    """Six steps from one place with the same gradients."""
    random = np.random.default_rng(0)
    weights = [keras.Variable(random.normal(size=shape), dtype=dtype) for shape in ((3, 4), (5,))]
    optimizer.build(weights)

    @tf.function
    def step(gradients: Any) -> None:
        optimizer.apply(gradients, weights)

    for _ in range(6):
        step([tf.constant(random.normal(size=each.shape), dtype) for each in weights])
    optimizer.finalize_variable_values(weights)
    return [np.asarray(tf.cast(each, "float64")) for each in (*weights, *optimizer.variables)]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "default")
def test_updates_match_keras_adam(options: dict[str, Any]) -> None:
    given = {"learning_rate": 0.1, **options}
    for got, expected in zip(walk(Adam(**given)), walk(keras.optimizers.Adam(**given)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_weights_in_16_bits() -> None:
    for got, expected in zip(
        walk(Adam(0.1), "bfloat16"), walk(keras.optimizers.Adam(0.1), "bfloat16"), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_sparse_gradients() -> None:
    results = []
    for optimizer in (Adam(0.1), keras.optimizers.Adam(0.1)):
        table = keras.Variable(np.arange(12.0).reshape(4, 3), dtype="float32")
        optimizer.build([table])
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.gather(table.value, [1, 3]) ** 2)
        optimizer.apply(tape.gradient(loss, [table.value]), [table])
        results.append(table.numpy())
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_update_under_a_strategy() -> None:
    """The operation updates the variables of the replica."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        weight = keras.Variable(np.ones(3), dtype="float32")
        optimizer = Adam(0.1)
        optimizer.build([weight])
    strategy.run(lambda: optimizer.apply([tf.constant([1.0, -1.0, 2.0])], [weight]))
    np.testing.assert_allclose(weight.numpy(), [0.9, 1.1, 0.9], rtol=1e-5)
