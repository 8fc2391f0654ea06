"""Novikoff's bound against scikit-learn's margin and real runs; XOR."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC

from keras_dl.theory import novikoff_bound, separation, train_perceptron

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def separable(seed, n=40, features=3, gap=0.2):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, features))
    distance = x @ rng.standard_normal(features) + rng.uniform(-0.5, 0.5)
    kept = np.abs(distance) > gap
    return x[kept], (distance[kept] > 0).astype(int)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), features=st.integers(1, 6), gap=st.floats(0.02, 0.5))
def test_no_run_makes_more_mistakes_than_the_bound(seed, features, gap):
    x, y = separable(seed, features=features, gap=gap)
    if len(x):
        run = train_perceptron(x, y)
        assert run.converged
        assert run.mistakes.sum() <= novikoff_bound(x, y)
        assert (((x @ run.w + run.b) >= 0) == y).all()
        assert len(run.path) == run.mistakes.sum() + 1


def test_the_margin_is_that_of_a_hard_margin_support_vector_machine():
    x, y = separable(1)
    found = separation(x, y)
    # The intercept is penalised with the weights, as the augmented margin has it.
    machine = LinearSVC(loss="hinge", C=1e5, intercept_scaling=1.0, max_iter=1_000_000, tol=1e-8).fit(x, y)
    length = np.hypot(np.linalg.norm(machine.coef_), machine.intercept_[0])
    assert found.margin == pytest.approx(1 / length, rel=1e-3)
    assert np.hypot(np.linalg.norm(found.w), found.b) == pytest.approx(1)
    assert found.bound == pytest.approx((found.radius * length) ** 2, rel=2e-3)


def test_the_margin_by_hand():
    found = separation([[1.0], [-1.0]], [1, 0])
    np.testing.assert_allclose([found.w[0], found.b, found.margin], [1, 0, 1], atol=1e-12)
    assert found.bound == pytest.approx(2)


def test_xor_has_no_margin_and_its_weights_recur():
    assert separation(*XOR) is None
    run = train_perceptron(*XOR, max_epochs=50)
    assert not run.converged
    assert len(run.mistakes) == 50
    assert (run.mistakes > 0).all()
    # From the state that came back on, the same epochs follow.
    later = train_perceptron(*XOR, max_epochs=50 + run.period)
    np.testing.assert_array_equal(later.w, run.w)


def test_one_class_and_any_scale_are_supported():
    assert separation([[3.0], [1.0]], [1, 1]) is not None
    x, y = separable(2)
    np.testing.assert_allclose(separation(x * 1e6, y).w[:2].shape, (2,))
    assert train_perceptron(x * 1e6, y).converged


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: train_perceptron(*XOR), "max_epochs: expected a limit .* got None"),
        (lambda: train_perceptron(*XOR, max_epochs=0), "max_epochs: expected an int of at least 1, got 0"),
        (lambda: novikoff_bound(*XOR), "y: expected linearly separable classes"),
        (lambda: separation([[1.0], [2.0]], [1, 2]), "y: expected labels 0 and 1"),
        (lambda: separation([1.0, 2.0], [1, 0]), r"x: expected an array of shape \(any, any\), got \(2,\)"),
        (lambda: separation([[1.0], [2.0]], [1]), r"y: expected an array of shape \(2\), got \(1,\)"),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()
