"""What Keras lacks on several workers: still so, mended within the block, and no more once Keras has it."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
from keras.src.backend.tensorflow import trainer as keras_trainer

from keras_dl.training import keras_gaps

Trainer = keras_trainer.TensorFlowTrainer


def originals() -> tuple[Any, Any]:
    return Trainer._maybe_symbolic_build, keras_trainer.reduce_per_replica


def test_the_gaps_are_there_and_are_mended_within_the_block() -> None:
    """When this fails because `gaps` finds nothing, Keras has mended itself: remove keras_gaps.py."""
    before = originals()
    assert keras_gaps.gaps() == ["_maybe_symbolic_build", "reduce_per_replica"]
    with keras_gaps.mended_keras():
        assert keras_gaps.gaps() == []
        assert all(now is not then for now, then in zip(originals(), before, strict=True))
        with keras_gaps.mended_keras():  # nothing is left to do
            assert keras_gaps.gaps() == []
    assert originals() == before


def test_they_are_put_back_after_an_error() -> None:
    before = originals()
    with pytest.raises(RuntimeError, match="lost"), keras_gaps.mended_keras():
        raise RuntimeError("lost")
    assert originals() == before


def test_a_keras_without_gaps_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def symbolic_build(model: Any, iterator: Any = None, data_batch: Any = None) -> None:
        for _, _, batches in iterator:
            data_batch = model.distribute_strategy.experimental_local_results(next(batches))[0]
        model._symbolic_build(data_batch=data_batch)

    def reduce_per_replica(values: Any, strategy: Any, reduction: str) -> Any:
        return {name: strategy.reduce("MEAN", value, axis=None) for name, value in values.items()}

    monkeypatch.setattr(Trainer, "_maybe_symbolic_build", symbolic_build)
    monkeypatch.setattr(keras_trainer, "reduce_per_replica", reduce_per_replica)
    assert keras_gaps.gaps() == []
    before = originals()
    with keras_gaps.mended_keras():
        assert originals() == before


def test_one_worker_reduces_as_keras_does() -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with keras_gaps.mended_keras():
        assert float(keras_trainer.reduce_per_replica(tf.constant(2.0), strategy, "auto")) == 2.0
