"""Patches of Keras's `fit` for several replicas, applied while it needs them.

Under a strategy some of Keras's functions (3.15, on TensorFlow 2.21) fail:

- `Trainer._maybe_symbolic_build` infers the shapes of a batch from the mean of all replicas' batches, which
  does not exist for shares of unequal size, nor for pairs (x, y). Here it gets the batch of the first
  replica.
- `reduce_per_replica` averages each figure over its first axis, which a scalar does not have. Here the mean
  is over the replicas alone. It concerns several workers only.
- Convolutions and pooling of an empty batch return a wrong shape on CPU, or end the process, some of them
  only in their gradient. A replica gets no example where a batch has fewer examples than there are replicas.
  Here they run on one example of zeros instead, and drop it from the result.

Each is replaced within `patched` only, and only while Keras itself still fails: `gaps` tries Keras's own
functions on a strategy that only records its calls, and one convolution on an empty batch. Once it returns
nothing, this file can be deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import nn as keras_nn
from keras.src.backend.tensorflow import trainer as keras_trainer

_Trainer: Any = keras_trainer.TensorFlowTrainer


def gaps() -> list[str]:
    """Return the names of Keras's functions that still fail on several replicas; takes about 20 ms."""
    return [name for _, name, fails, _ in _SUSPECTS if fails()]


@contextmanager
def patched() -> Iterator[None]:
    """Patch Keras within the block, so that `fit` and `evaluate` run on several replicas."""
    missing = gaps()
    suspects = [(owner, name, patch) for owner, name, _, patch in _SUSPECTS if name in missing]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in suspects]
    for owner, name, patch in suspects:
        setattr(owner, name, patch(getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _symbolic_build(original: Callable[..., Any]) -> Callable[..., Any]:
    def build_from_the_first_replica(model: Any, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is not None and model._distribute_strategy is not None:
            for _, _, batches in iterator:
                batch = next(batches)
                data_batch = model.distribute_strategy.experimental_local_results(batch)[0]
                break
        original(model, data_batch=data_batch)

    return build_from_the_first_replica


def _reduce(original: Callable[..., Any]) -> Callable[..., Any]:
    def mean_over_replicas(values: Any, strategy: Any, reduction: str) -> Any:
        if reduction not in ("auto", "mean") or not _several_workers(strategy):
            return original(values, strategy, reduction)
        return keras.tree.map_structure(lambda value: strategy.reduce("MEAN", value, axis=None), values)

    return mean_over_replicas


def _several_workers(strategy: Any) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and bool(
        strategy.extended._in_multi_worker_mode()
    )


def _example_wise(original: Callable[..., Any]) -> Callable[..., Any]:
    def of_any_batch(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if inputs.shape[0]:
            return original(inputs, *args, **kwargs)

        def of_nothing() -> Any:
            zeros = tf.zeros(tf.concat([[1], tf.shape(inputs)[1:]], axis=0), inputs.dtype)
            return original(tf.ensure_shape(zeros, (1, *inputs.shape[1:])), *args, **kwargs)[:0]

        return tf.cond(tf.shape(inputs)[0] > 0, lambda: original(inputs, *args, **kwargs), of_nothing)

    return of_any_batch


class _Recorder(tf.distribute.MultiWorkerMirroredStrategy):
    """A strategy that Keras takes for two workers; it records the axes of each reduction."""

    def __init__(self) -> None:
        self.axes: list[int | None] = []

    @property
    def extended(self) -> Any:
        return SimpleNamespace(_in_multi_worker_mode=lambda: True)

    def reduce(self, reduce_op: Any, value: Any, axis: int | None = None) -> Any:
        self.axes.append(axis)
        return value

    def experimental_local_results(self, value: Any) -> tuple[Any, ...]:
        return (value,)

    @contextmanager
    def scope(self) -> Iterator[None]:
        yield


def _scalars_are_reduced_by_axis() -> bool:
    recorder = _Recorder()
    keras_trainer.reduce_per_replica({"loss": tf.zeros(())}, recorder, "auto")
    return recorder.axes != [None]


def _symbolic_build_reduces_batches() -> bool:
    recorder = _Recorder()
    batch = tf.distribute.DistributedValues.__new__(tf.distribute.DistributedValues)
    model = SimpleNamespace(
        _distribute_strategy=recorder, distribute_strategy=recorder, _symbolic_build=lambda data_batch: None
    )
    _Trainer._maybe_symbolic_build(model, iterator=[(0, 0, iter([batch]))])
    return bool(recorder.axes)


def _no_example_has_a_wrong_shape() -> bool:
    convolution = tf.function(keras_nn.conv, autograph=False)
    return tuple(convolution(tf.zeros((0, 4, 4, 1)), tf.zeros((3, 3, 1, 2))).shape) != (0, 2, 2, 2)


# Each function's owner and name, the check whether it still fails, and the patch.
_SUSPECTS: list[tuple[Any, str, Callable[[], bool], Callable[[Any], Any]]] = [
    (_Trainer, "_maybe_symbolic_build", _symbolic_build_reduces_batches, _symbolic_build),
    (keras_trainer, "reduce_per_replica", _scalars_are_reduced_by_axis, _reduce),
    *(
        (keras_nn, name, _no_example_has_a_wrong_shape, _example_wise)
        for name in ("conv", "depthwise_conv", "separable_conv", "conv_transpose", "max_pool", "average_pool")
    ),
]
