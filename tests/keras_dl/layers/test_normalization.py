"""The fused operation against Keras's own layer and against NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl.layers import BatchNormalization

X = np.random.default_rng(0).normal(2.0, 3.0, (4, 5, 6, 3)).astype("float32")


def twins(**options: Any) -> list[Any]:
    layers = [BatchNormalization(**options), keras.layers.BatchNormalization(**options)]
    weights = [np.linspace(0.5, 1.5, 3), np.linspace(-1, 1, 3), np.zeros(3), np.ones(3)]
    for layer in layers:
        layer.build(X.shape)
        layer.set_weights(weights)
    return layers


def test_training_is_the_equation_in_numpy() -> None:
    layer = twins(momentum=0.9, epsilon=1e-2)[0]
    got = layer(X, training=True).numpy()
    mean, variance = X.mean((0, 1, 2)), X.var((0, 1, 2))
    gamma, beta = np.linspace(0.5, 1.5, 3), np.linspace(-1, 1, 3)
    np.testing.assert_allclose(got, gamma * (X - mean) / np.sqrt(variance + 1e-2) + beta, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * variance, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_values_and_gradients_match_keras(training: bool, policy: str) -> None:
    tolerance = {"float32": 1e-5, "mixed_float16": 5e-3, "mixed_bfloat16": 5e-2}[policy]
    results = []
    for layer in twins(dtype=policy):
        x = tf.Variable(X)
        with tf.GradientTape() as tape:
            output = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(output, "float32") ** 3)
        gradients = tape.gradient(loss, [x, *(weight.value for weight in layer.trainable_weights)])
        assert output.dtype == layer.compute_dtype
        results.append([output, *layer.get_weights(), *gradients])
    for got, expected in zip(*results, strict=True):
        got, expected = (np.asarray(tf.cast(each, "float32")) for each in (got, expected))
        np.testing.assert_allclose(got, expected, atol=tolerance * (1 + np.abs(expected).max()))


def test_the_second_gradient_matches_keras() -> None:
    penalties = []
    for layer in twins():
        x = tf.Variable(X)
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                energy = tf.reduce_sum(tf.sin(layer(x, training=True)))
            penalty = tf.reduce_sum(inner.gradient(energy, x) ** 2)
        penalties.append(outer.gradient(penalty, x).numpy())
    np.testing.assert_allclose(*penalties, atol=1e-5 * (1 + np.abs(penalties[1]).max()))


def test_frozen_it_keeps_its_statistics() -> None:
    layer = twins()[0]
    layer.trainable = False
    before = layer.get_weights()
    layer(X, training=True)
    for now, was in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, was)


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"axis": 1}])
def test_other_options_use_the_implementation_of_keras(options: dict[str, Any]) -> None:
    layers = [BatchNormalization(**options), keras.layers.BatchNormalization(**options)]
    results = [layer(X, training=True).numpy() for layer in layers]
    np.testing.assert_allclose(*results, atol=1e-5)
