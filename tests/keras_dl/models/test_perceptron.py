"""The rule against NumPy, its convergence against Novikoff."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_dl.models import Perceptron

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32"), np.array([0, 1, 1, 0])


def separable(seed: int, margin: float = 0.2) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, (80, 3)).astype("float32")
    normal = random.standard_normal(3)
    score = x @ (normal / np.linalg.norm(normal))
    keep = np.abs(score) > margin
    return x[keep], (score[keep] > 0).astype("int32")


def mistake_driven(x: Any, y: Any, epochs: int) -> tuple[Any, float, list[int]]:
    w, b, mistakes = np.zeros(x.shape[1]), 0.0, [0] * epochs
    for epoch in range(epochs):
        for features, label in zip(x.astype("float64"), y, strict=True):
            error = label - (w @ features + b >= 0)
            w, b = w + error * features, b + error
            mistakes[epoch] += abs(int(error))
    return w, b, mistakes


@pytest.mark.parametrize("batch_size", [7, 1000])
def test_the_rule_is_applied_to_one_example_after_the_other(batch_size: int) -> None:
    x, y = separable(0)
    model = Perceptron()
    history = model.fit(x, y, epochs=4, batch_size=batch_size, shuffle=False, verbose=0).history
    w, b, mistakes = mistake_driven(x, y, 4)
    np.testing.assert_allclose(model.w, w, rtol=1e-4, atol=1e-5)
    assert float(model.b) == b
    assert history["mistakes"] == mistakes
    np.testing.assert_allclose(history["accuracy"], 1 - np.array(mistakes) / len(x), rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_mistakes_stay_within_novikoff_s_bound_and_end(seed: int) -> None:
    x, y = separable(seed)
    model = Perceptron()
    mistakes = model.fit(x, y, epochs=60, batch_size=100, verbose=0).history["mistakes"]
    assert mistakes[-1] == 0
    # The constant 1 that b multiplies belongs to the example. A plane through 0 has the margin 0.2.
    longest = np.sqrt(1 + np.square(x).sum(axis=1)).max()
    assert 0 < sum(mistakes) <= (longest / 0.2) ** 2
    np.testing.assert_array_equal(model.predict(x, verbose=0), y)
    assert model.evaluate(x, y, verbose=0, return_dict=True) == {"accuracy": 1.0, "mistakes": 0.0}


def test_xor_is_never_learned() -> None:
    mistakes = Perceptron().fit(*XOR, epochs=40, verbose=0).history["mistakes"]
    assert min(mistakes) > 0


def test_the_endpoint_gives_score_and_class() -> None:
    model = Perceptron(2)
    model.set_weights([np.array([1.0, -2.0]), np.array(0.5)])
    answer = model.endpoints()["serving_default"].function(
        features=np.array([[1.0, 1.0], [0.5, 0.5]], "float32")
    )
    np.testing.assert_allclose(answer["score"], [-0.5, 0.0])
    np.testing.assert_array_equal(answer["class"], [0, 1])


def test_labels_of_plus_and_minus_1_are_refused() -> None:
    with pytest.raises(ValueError, match="label: expected classes from 0 to 1, got -1 to 1") as caught:
        Perceptron(2).fit(XOR[0], 2 * XOR[1] - 1, verbose=0)
    assert "\n" not in str(caught.value)


def test_a_loss_is_refused() -> None:
    with pytest.raises(
        ValueError, match="loss: expected none, because a perceptron is trained by its own rule"
    ):
        Perceptron().compile(loss="mse")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"num_features": 0}, "num_features: expected an int of at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate: expected a positive number, got 0.0"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Perceptron(**arguments)


def test_an_unbuilt_model_has_no_endpoints() -> None:
    with pytest.raises(ValueError, match="expected a built Perceptron.*pass num_features"):
        Perceptron().endpoints()
