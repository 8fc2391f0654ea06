"""Models whose outputs or states are not plain tensors: exported, or refused by name."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_dl_export import ConversionError, load_artifact, to_onnx, to_saved_model
from keras_dl_export.model_endpoints import endpoints_of

X = np.arange(8, dtype=np.float32).reshape(2, 4)


class Odd(keras.Model):
    """A model with a scalar mean, a Python number, and an output that is None outside of training."""

    def call(self, x: Any) -> Any:
        return {"mean": ops.mean(x), "factor": 3.0, "loss": None}


def test_outputs_that_are_scalars_numbers_and_none(tmp_path: Path) -> None:
    model = Odd()
    model(X)
    to_onnx(model, tmp_path / "m.onnx")
    found = load_artifact(tmp_path / "m.onnx")({"x": X})
    assert set(found) == {"mean", "factor"}
    np.testing.assert_allclose(found["mean"], X.mean(), rtol=1e-6)
    assert found["factor"] == 3.0


class Queued(layers.Layer):
    def __init__(self) -> None:
        super().__init__(name="queued")
        self.queue = tf.queue.FIFOQueue(3, ["float32"])

    def call(self, x: Any) -> Any:
        return x + tf.cast(self.queue.size(), "float32")

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def test_a_resource_that_no_file_holds_is_refused_with_its_layer(tmp_path: Path) -> None:
    x = keras.Input((4,), name="x")
    with pytest.raises(ConversionError, match=r"layer '.*queued.*' uses a resource \(QueueSize.*variables"):
        to_saved_model(keras.Model(x, Queued()(x)), tmp_path / "m")
    assert not list(tmp_path.iterdir())


@tf.function  # type: ignore[untyped-decorator]
def _branching(x: Any) -> Any:
    if tf.reduce_sum(x) > 0:
        y = x
    return y


class Branching(layers.Layer):
    def call(self, x: Any) -> Any:
        return _branching(x)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def test_a_failing_branch_is_reported_with_its_layer(tmp_path: Path) -> None:
    x = keras.Input((4,), name="x")
    model = keras.Model(x, Branching(name="branching")(x))
    with pytest.raises(ConversionError, match=r"at layer '.*branching.*'y'") as caught:
        to_onnx(model, tmp_path / "m.onnx")
    assert "user code" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "decisive"),
    [
        (keras.Sequential([]), "at least one layer"),
        (keras.layers.Dense(2), r"got Dense\. Wrap it"),
        ("model.keras", r"got str.*load_model"),
        (None, r"got NoneType"),
    ],
)
def test_an_object_that_is_not_a_model_is_refused_with_the_remedy(model: Any, decisive: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"model: .*{decisive}"):
        endpoints_of(model)


def test_a_ragged_input_is_refused_and_a_sparse_one_is_dense_in_the_file(tmp_path: Path) -> None:
    ragged = keras.Input((None,), ragged=True, name="words")
    with pytest.raises(ValueError, match=r"ragged input 'words'.*Masking"):
        to_saved_model(keras.Model(ragged, keras.ops.sum(ragged, 1)), tmp_path / "ragged")
    sparse = keras.Input((4,), sparse=True, name="counts")
    model = keras.Model(sparse, keras.layers.Dense(2)(sparse))
    artifact = to_saved_model(model, tmp_path / "sparse")
    assert any("'counts'" in note and "dense" in note for note in artifact.notes)
    counts = np.float32([[0, 3, 0, 1]])
    found = load_artifact(artifact)({"counts": counts})["output"]
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(found, counts @ kernel + bias, rtol=1e-6)
