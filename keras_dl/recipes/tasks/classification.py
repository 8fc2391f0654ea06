"""Classification of images, of rows of features, or of sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_dl.recipes.recipe import Evaluation, Splits, Task
from keras_dl.reports import figures


def _evaluate(model: Any, splits: Splits) -> Evaluation:
    """Evaluate accuracy, cross-entropy in nats and the confusion matrix."""
    names = splits.description.class_names
    assert names is not None  # checked by recipes whose model takes num_classes
    labels = np.concatenate([label for _, label in splits.test.as_numpy_iterator()])
    probabilities = model.predict(splits.test.map(lambda features, _: features), verbose=0)
    predictions = probabilities.argmax(axis=-1)
    likelihood = probabilities[np.arange(len(labels)), labels]
    matrix = np.zeros((len(names), len(names)), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    accuracy = float(np.mean(predictions == labels))
    title = f"{len(labels):,} test examples, {accuracy:.2%} correct"
    return Evaluation(
        figures={
            "test_accuracy": accuracy,
            "test_loss": float(-np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean()),
        },
        arrays={"confusion_matrix": matrix, "class_names": np.array(names)},
        pictures={"confusion-matrix": figures.confusion_matrix(matrix, names, title=title)},
    )


CLASSIFICATION = Task(
    labels=True,
    compile={"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    evaluate=_evaluate,
)
