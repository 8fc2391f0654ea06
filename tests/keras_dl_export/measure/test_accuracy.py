"""The accuracy of a file, before and after quantization, and the limit on its drop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_dl_export import (
    AccuracyError,
    Endpoint,
    Release,
    Runner,
    Spec,
    export,
    load_artifact,
    open_release,
    to_onnx,
    verify,
)
from keras_dl_export.measure.accuracy import AccuracyTest

# Ten points whose class is plain to see, and ten that a weight tips which half precision rounds to one.
WEIGHTS = np.diag([1.0, 1.0 + 1e-4, 1.0])
PLAIN = np.eye(3, dtype=np.float32)[np.arange(10) % 3]
TIED = np.tile(np.array([1.0, 1.0, 0.0], np.float32), (10, 1))
POINTS = np.concatenate([PLAIN, TIED])
LABELS = np.concatenate([np.arange(10) % 3, np.ones(10, np.int64)])


@pytest.fixture(scope="module")
def classifier() -> keras.Model:
    """Return a model whose scores are almost its inputs."""
    point = keras.Input((3,), name="point")
    scores = layers.Dense(3, use_bias=False)(point)
    model = keras.Model(point, {"scores": scores, "class": keras.ops.argmax(scores, axis=-1)})
    model.layers[1].set_weights([WEIGHTS])
    return model


@pytest.fixture(scope="module")
def release(classifier: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return export(
        classifier,
        tmp_path_factory.mktemp("releases") / "points",
        quantize={"onnx": "float16"},
        accuracy_data=tf.data.Dataset.from_tensor_slices((POINTS, LABELS)).batch(6),
        max_accuracy_drop=0.5,
        opset=15,
        batch_size=4,
    )


class Constant(Runner):
    """A runner of batches of four that returns class 0 for every example."""

    def __init__(self) -> None:
        super().__init__(
            "serving_default", {"point": Spec((4, 3), "float32")}, {"class": Spec((4,), "int64")}
        )

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"class": np.zeros(len(inputs["point"]), np.int64)}


def _endpoint(**outputs: Any) -> dict[str, Endpoint]:
    def answer(point: Any) -> dict[str, Any]:
        return {name: make(point) for name, make in outputs.items()}

    return {"serving_default": Endpoint(answer, {"point": Spec(("batch", 3), "float32")})}


def _scores(point: Any) -> Any:
    return point * np.diag(WEIGHTS).astype(np.float32)


def _classes(point: Any) -> Any:
    return tf.argmax(_scores(point), axis=-1)


@pytest.mark.parametrize(
    ("outputs", "judged"),
    [
        ({"scores": _scores, "class": _classes}, "class"),
        ({"flag": lambda point: point[:, :1], "scores": _scores}, "scores"),
    ],
)
@pytest.mark.parametrize("one_hot", [False, True])
def test_the_accuracy_is_counted_before_and_after(
    outputs: dict[str, Any], judged: str, one_hot: bool
) -> None:
    labels = LABELS.copy()
    labels[:3] = (labels[:3] + 1) % 3  # three that the model gets wrong
    given = np.eye(3, dtype=np.float32)[labels] if one_hot else labels
    test = AccuracyTest(_endpoint(**outputs), (POINTS, given), None)
    if judged == "class":
        accuracy = test.judge(Constant(), "file")
        assert accuracy.after == np.mean(labels == 0)
        assert accuracy.drop == accuracy.before - accuracy.after
    else:
        runner = Constant()
        runner.run = lambda inputs: {"scores": -inputs["point"]}  # type: ignore[method-assign]
        accuracy = test.judge(runner, "file")
        assert accuracy.after == np.mean((-POINTS).argmax(axis=-1) == labels)
    assert (accuracy.output, accuracy.before, accuracy.examples) == (judged, 17 / 20, 20)


def test_labels_of_every_step_are_counted() -> None:
    steps = (POINTS @ WEIGHTS)[:18].reshape(3, 6, 3).astype(np.float32)
    endpoint = Endpoint(
        lambda steps: {"logits": steps}, {"steps": Spec(("batch", "steps_time", 3), "float32")}
    )
    test = AccuracyTest({"serving_default": endpoint}, iter([(steps, LABELS[:18].reshape(3, 6))]), None)
    runner = Constant()
    runner.inputs = dict(endpoint.inputs)
    runner.run = lambda inputs: {"logits": inputs["steps"]}  # type: ignore[method-assign]
    accuracy = test.judge(runner, "file")
    assert (accuracy.before, accuracy.after, accuracy.examples) == (1.0, 1.0, 18)


def test_a_drop_beyond_the_limit_leaves_no_file(classifier: keras.Model, tmp_path: Path) -> None:
    data = (POINTS, LABELS)
    with pytest.raises(AccuracyError) as caught:
        to_onnx(
            classifier, tmp_path / "a.onnx", quantize="float16", accuracy_data=data, max_accuracy_drop=0.4
        )
    assert str(caught.value).startswith(
        "a.onnx: endpoint 'serving_default', output 'class': the accuracy on 20 examples falls from 1.0000 "
        "to 0.5000, by 0.5000, while 0.4 is allowed. "
    )
    with pytest.raises(AccuracyError, match=r"onnx/serving_default.onnx: .* falls from 1.0000 to 0.5000"):
        export(
            classifier,
            tmp_path / "points",
            ["onnx"],
            quantize="float16",
            accuracy_data=data,
            max_accuracy_drop=0.4,
        )
    assert not any(tmp_path.iterdir())


def test_a_release_keeps_the_accuracy_of_every_file(release: Release) -> None:
    artifacts = {artifact.format: artifact for artifact in open_release(release.path).artifacts}
    for format, after in (("saved_model", 1.0), ("tflite", 1.0), ("onnx", 0.5)):
        accuracy = artifacts[format].accuracy
        assert accuracy is not None
        assert (accuracy.before, accuracy.after, accuracy.examples) == (1.0, after, 20)
    assert [artifacts[format].quantize for format in artifacts] == [None, None, "float16"]


def test_a_release_has_the_requested_opset_and_batch_size(release: Release, classifier: keras.Model) -> None:
    import onnx

    model = onnx.load(release.path / "onnx" / "serving_default.onnx")
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 15
    for format in ("saved_model", "tflite", "onnx"):
        runner = load_artifact(release.path, format=format)
        assert runner.inputs["point"].shape == (4, 3)
        assert runner({"point": POINTS[:4]})["class"].tolist() == LABELS[:4].tolist()
    assert verify(release.path, classifier).max_abs_error < 1e-2
    with pytest.raises(ValueError, match=r"batch_size: expected an int of at least 1, got 0"):
        to_onnx(classifier, release.path / "a.onnx", batch_size=0)


@pytest.mark.parametrize(
    ("data", "most", "error", "message"),
    [
        (None, 0.1, ValueError, "max_accuracy_drop: expected None without data, got 0.1"),
        ((POINTS, LABELS), 3, ValueError, "max_accuracy_drop: expected a fraction from 0 to 1, got 3"),
        (POINTS, None, TypeError, r"accuracy_data: expected a pair \(inputs, labels\), or batches of such"),
        (7, None, TypeError, r"accuracy_data: expected a pair \(inputs, labels\) or a pipeline .* got int"),
        ([], None, ValueError, "accuracy_data: expected at least one example, got none"),
        (
            (POINTS[:, :2], LABELS),
            None,
            ValueError,
            r"accuracy_data\['point'\]: expected shape \(batch, 3\), got \(20, 2\)",
        ),
        (
            (POINTS, LABELS[:5]),
            None,
            ValueError,
            r"accuracy_data\['point'\]: expected as many examples as labels, got 20 and 5",
        ),
        (({"p": POINTS}, LABELS), None, ValueError, "accuracy_data: expected point, got no point"),
        (
            (POINTS, np.zeros((20, 7), np.int64)),
            None,
            ValueError,
            r"an integer output of the labels' shape \(20, 7\) or scores with one axis more, got",
        ),
    ],
)
def test_data_without_usable_labels_are_refused(
    classifier: keras.Model, tmp_path: Path, data: Any, most: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        to_onnx(classifier, tmp_path / "a.onnx", accuracy_data=data, max_accuracy_drop=most)
    assert not any(tmp_path.iterdir())
