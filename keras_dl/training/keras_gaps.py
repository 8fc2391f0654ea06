"""What Keras's `fit` lacks to train on several workers, added while it is missing.

Under `MultiWorkerMirroredStrategy` two of Keras's functions (3.15) fail:

- `Trainer._maybe_symbolic_build` learns the shapes of a batch from the mean of all replicas' batches, which
  cannot be taken of pairs (x, y), nor of shares of unequal size. Here it gets the batch of the first replica.
- `reduce_per_replica` takes the mean of each figure over its first axis, which a scalar has not. Here it is
  taken over the replicas alone.

Each is replaced within `mended_keras` only, and only while Keras itself still fails: `gaps` tries Keras's own
functions on a strategy that merely writes down what it is asked. Once it returns nothing, this file can go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import trainer as keras_trainer

_Trainer: Any = keras_trainer.TensorFlowTrainer
_SYMBOLIC_BUILD, _REDUCE = "_maybe_symbolic_build", "reduce_per_replica"


def gaps() -> list[str]:
    """The names of Keras's functions that still fail on several workers; some milliseconds."""
    fails = {_SYMBOLIC_BUILD: _symbolic_build_reduces_batches, _REDUCE: _scalars_are_reduced_by_axis}
    return [name for name, fails_now in fails.items() if fails_now()]


@contextmanager
def mended_keras() -> Iterator[None]:
    """Within the block, `fit` and `evaluate` work on several workers."""
    missing = gaps()
    replacements: list[tuple[Any, str, Callable[..., Any]]] = []
    if _SYMBOLIC_BUILD in missing:
        replacements.append((_Trainer, _SYMBOLIC_BUILD, _symbolic_build(_Trainer._maybe_symbolic_build)))
    if _REDUCE in missing:
        replacements.append((keras_trainer, _REDUCE, _reduce(keras_trainer.reduce_per_replica)))
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    for owner, name, replacement in replacements:
        setattr(owner, name, replacement)
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


class _Recorder(tf.distribute.MultiWorkerMirroredStrategy):
    """Looks to Keras like two workers, and writes down along which axes it is asked to reduce."""

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
