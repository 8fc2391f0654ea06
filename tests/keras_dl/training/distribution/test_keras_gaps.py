"""The gaps of Keras on several replicas: still present, and closed within the block."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.tensorflow import nn as keras_nn
from keras.src.backend.tensorflow import trainer as keras_trainer

from keras_dl.training.distribution import keras_gaps

Trainer = keras_trainer.TensorFlowTrainer
OF_NOTHING = ["conv", "depthwise_conv", "separable_conv", "conv_transpose", "max_pool", "average_pool"]


def originals() -> tuple[Any, ...]:
    of_nothing = (getattr(keras_nn, name) for name in OF_NOTHING)
    return Trainer._maybe_symbolic_build, keras_trainer.reduce_per_replica, *of_nothing


def test_the_gaps_exist_and_are_closed_within_the_block() -> None:
    """If this fails because `gaps` finds nothing, Keras has closed the gap: remove keras_gaps.py."""
    before = originals()
    assert keras_gaps.gaps() == ["_maybe_symbolic_build", "reduce_per_replica", *OF_NOTHING]
    with keras_gaps.patched():
        assert keras_gaps.gaps() == []
        assert all(now is not then for now, then in zip(originals(), before, strict=True))
        with keras_gaps.patched():  # nothing is left to do
            assert keras_gaps.gaps() == []
    assert originals() == before


def test_keras_is_restored_after_an_error() -> None:
    before = originals()
    with pytest.raises(RuntimeError, match="lost"), keras_gaps.patched():
        raise RuntimeError("lost")
    assert originals() == before


def test_a_keras_without_gaps_stays_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    def symbolic_build(model: Any, iterator: Any = None, data_batch: Any = None) -> None:
        for _, _, batches in iterator:
            data_batch = model.distribute_strategy.experimental_local_results(next(batches))[0]
        model._symbolic_build(data_batch=data_batch)

    def reduce_per_replica(values: Any, strategy: Any, reduction: str) -> Any:
        return {name: strategy.reduce("MEAN", value, axis=None) for name, value in values.items()}

    monkeypatch.setattr(Trainer, "_maybe_symbolic_build", symbolic_build)
    monkeypatch.setattr(keras_trainer, "reduce_per_replica", reduce_per_replica)
    monkeypatch.setattr(keras_nn, "conv", lambda inputs, kernel: tf.zeros((0, 2, 2, 2)))
    assert keras_gaps.gaps() == []
    before = originals()
    with keras_gaps.patched():
        assert originals() == before


def test_one_worker_reduces_as_keras_does() -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with keras_gaps.patched():
        assert float(keras_trainer.reduce_per_replica(tf.constant(2.0), strategy, "auto")) == 2.0


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv2D(3, 3, strides=2),
        keras.layers.Conv1D(3, 2),
        keras.layers.DepthwiseConv2D(3),
        keras.layers.SeparableConv2D(3, 3),
        keras.layers.Conv2DTranspose(3, 3, strides=2),
        keras.layers.MaxPooling2D(),
        keras.layers.AveragePooling2D(2),
    ],
    ids=lambda layer: layer.name,
)
def test_layers_of_no_example_have_their_shape_and_a_gradient_of_zero(layer: Any) -> None:
    shape = (8, 2) if isinstance(layer, keras.layers.Conv1D) else (8, 8, 2)
    layer.build((None, *shape))
    weights = [variable.value for variable in layer.trainable_variables]

    def value_and_gradients(inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            result = layer(inputs)
        return result, tape.gradient(result, [inputs, *weights])

    def compiled() -> Any:
        return tf.function(value_and_gradients, input_signature=[tf.TensorSpec((None, *shape))])

    examples = np.random.default_rng(0).random((2, *shape), np.float32)
    wanted = compiled()(examples)
    with keras_gaps.patched():
        mended = compiled()
        nothing, gradients = mended(examples[:0])
        some = mended(examples)
    tf.nest.map_structure(np.testing.assert_array_equal, some, wanted)
    assert tuple(nothing.shape) == tuple(layer.compute_output_shape((0, *shape)))
    for gradient, value in zip(gradients, [examples[:0], *weights], strict=True):
        np.testing.assert_array_equal(gradient, np.zeros(value.shape))
