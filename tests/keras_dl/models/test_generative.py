"""Both classifiers against scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression as PenalisedRegression
from sklearn.naive_bayes import GaussianNB

from keras_dl.models import GaussianNaiveBayes, LogisticRegression


def clusters(seed: int = 0, offset: float = 0.0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, 150)
    centers, widths = random.standard_normal((3, 4)), random.uniform(0.5, 1.5, (3, 4))
    return (offset + centers[y] + widths[y] * random.standard_normal((150, 4))).astype("float32"), y


@pytest.mark.parametrize("batch_size", [11, 150])
@pytest.mark.parametrize(
    "offset", [0.0, 300.0]
)  # far from 0, differences of large sums would lose all digits
def test_naive_bayes_matches_scikit_learn_at_any_batch_size(batch_size: int, offset: float) -> None:
    x, y = clusters(offset=offset)
    model = GaussianNaiveBayes(3)
    model.fit(x, y, batch_size=batch_size, verbose=0)
    reference = GaussianNB().fit(x.astype("float64"), y)
    np.testing.assert_allclose(model.mean, reference.theta_, rtol=1e-5)
    np.testing.assert_allclose(model.squares / model.count, reference.var_, rtol=1e-3)
    np.testing.assert_allclose(model.predict(x, verbose=0), reference.predict_proba(x), atol=2e-3)
    assert model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] == pytest.approx(
        reference.score(x, y)
    )


def test_naive_bayes_uses_sample_weights() -> None:
    x, y = clusters()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(x)).astype("float32")
    model = GaussianNaiveBayes(3)
    model.fit(x, y, sample_weight=weight, verbose=0)
    reference = GaussianNB().fit(x, y, sample_weight=weight)
    np.testing.assert_allclose(model.predict(x, verbose=0), reference.predict_proba(x), atol=1e-4)


def test_every_fit_of_naive_bayes_starts_from_zero_and_epochs_change_nothing() -> None:
    x, y = clusters()
    model, once = GaussianNaiveBayes(3), GaussianNaiveBayes(3)
    model.fit(*clusters(seed=5), verbose=0)
    model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    once.fit(x, y, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), once.predict(x, verbose=0), atol=1e-5)


def test_a_feature_that_never_varies_within_a_class_divides_nothing_by_0() -> None:
    x, y = clusters()
    x[:, 0] = y
    model = GaussianNaiveBayes(3)
    model.fit(x, y, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0)[np.arange(len(y)), y], 1.0, atol=1e-6)


def test_a_class_without_examples_is_named() -> None:
    x, y = clusters()
    with pytest.raises(ValueError, match="label: expected examples of all 4 classes, got none of class 3"):
        GaussianNaiveBayes(4).fit(x, y, verbose=0)


def test_logistic_regression_reaches_scikit_learn_s_minimum() -> None:
    x, y = clusters()
    model = LogisticRegression(3, l2=0.05)
    model.fit(tf.data.Dataset.from_tensors((x, y)).repeat(400), verbose=0)
    # scikit-learn minimizes the sum of the losses plus ||W||^2 / (2 C).
    reference = PenalisedRegression(C=1 / (2 * 0.05 * len(x)), tol=1e-8, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(model.predict(x, verbose=0), reference.predict_proba(x), atol=2e-3)


@pytest.mark.parametrize("model", [GaussianNaiveBayes(3), LogisticRegression(3)], ids=["bayes", "regression"])
def test_the_outputs_of_the_endpoint_are_consistent(model: Any) -> None:
    x, y = clusters()
    with pytest.raises(ValueError, match="expected a built .*pass num_features"):
        model.endpoints()
    model.fit(x, y, verbose=0)
    answer = model.endpoints()["serving_default"].function(features=x)
    np.testing.assert_allclose(answer["probabilities"], softmax(answer["logits"], axis=-1), atol=1e-5)
    np.testing.assert_array_equal(answer["class"], np.argmax(answer["logits"], axis=-1))
    np.testing.assert_allclose(answer["probabilities"], model.predict(x, verbose=0), atol=1e-5)


def test_features_of_another_number_are_refused() -> None:
    x, y = clusters()
    model = LogisticRegression(3, 5)
    with pytest.raises(ValueError, match="features: expected shape \\(batch, 5\\), got"):
        model.fit(x, y, verbose=0)


def test_a_negative_penalty_is_refused() -> None:
    with pytest.raises(ValueError, match="l2: expected a weight of at least 0, got -1"):
        LogisticRegression(l2=-1)
