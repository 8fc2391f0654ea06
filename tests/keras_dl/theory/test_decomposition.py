"""The three terms of the error, simulated tails and learning curves."""

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.linear_model import LinearRegression
from sklearn.naive_bayes import GaussianNB

from keras_dl.theory import (
    decompose_error,
    hoeffding_bound,
    hoeffding_deviation,
    hoeffding_sample_size,
    learning_curves,
    simulated_tail,
)


@pytest.mark.parametrize(("degree", "n", "epochs"), [(0, 5, 3), (1, 50, 0), (3, 30, 20), (7, 400, 500)])
def test_the_terms_add_up_to_the_risk(degree, n, epochs):
    terms = decompose_error(degree, n, epochs)
    assert sum(terms[:4]) == pytest.approx(terms.risk, rel=1e-9)


def test_the_best_in_the_family_is_the_projection():
    # Of e^x on lines: a = sinh 1, b = 3 / e.
    def error(x):
        return (np.exp(x) - np.sinh(1) - 3 / np.e * x) ** 2 / 2

    assert decompose_error(1, 10, 1).approximation == pytest.approx(integrate.quad(error, -1, 1)[0], rel=1e-9)


def test_the_best_on_the_sample_is_least_squares():
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 1, 40)
    y = np.exp(x) + 0.5 * rng.standard_normal(40)
    peer = LinearRegression().fit(np.vander(x, 4), y)
    places = np.linspace(-1, 1, 20001)
    risk = integrate.trapezoid((peer.predict(np.vander(places, 4)) - np.exp(places)) ** 2, places) / 2
    terms = decompose_error(3, 40, 1, seed=5)
    assert terms.approximation + terms.estimation == pytest.approx(risk, rel=1e-6)


def test_each_term_depends_on_its_own_cause():
    mean = lambda *args: np.mean([decompose_error(*args, seed=seed) for seed in range(12)], axis=0)  # noqa: E731
    small, large = mean(1, 200, 300), mean(4, 200, 300)
    assert large[1] < small[1] / 100, "a larger family approximates better"
    assert large[2] > small[2], "and is harder to estimate"
    # The variance of least squares is about noise^2 (degree + 1) / n.
    assert large[2] == pytest.approx(0.25 * 5 / 200, rel=0.5)
    assert mean(4, 800, 300)[2] < large[2] / 2
    optimization = [abs(mean(4, 200, epochs)[3]) for epochs in (0, 10, 100, 300)]
    assert optimization == sorted(optimization, reverse=True)
    assert optimization[-1] < 1e-6


@pytest.mark.parametrize("n", [10, 100, 1000])
@pytest.mark.parametrize("risk", [0.5, 0.1])
def test_simulated_tails_lie_below_the_bound_and_at_the_exact_tail(n, risk):
    epsilons = np.array([0.02, 0.05, 0.1, 0.2])
    tail = simulated_tail(n, epsilons, risk=risk, trials=20_000)
    errors = np.arange(n + 1)
    for epsilon, frequency in zip(epsilons, tail, strict=True):
        beyond = np.abs(errors / n - risk) > epsilon + 1e-12
        exact = stats.binom.pmf(errors, n, risk)[beyond].sum()
        assert abs(frequency - exact) <= 5 * np.sqrt(exact / 20_000) + 1e-4
        assert frequency <= hoeffding_bound(n, epsilon)


def test_the_deviation_inverts_the_bound():
    assert hoeffding_bound(500, hoeffding_deviation(500, 0.05)) == pytest.approx(0.05)
    assert hoeffding_sample_size(hoeffding_deviation(500, 0.05) * (1 + 1e-9), 0.05) == 500


def test_learning_curves_are_the_errors_of_the_subsets():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.standard_normal((300, 2)) + 2 * y[:, None]
    sizes, seen = [3, 10, 200], []

    def bayes(features, labels):
        seen.append(len(labels))
        assert set(labels) == {0, 1, 2}
        return GaussianNB(var_smoothing=0.1).fit(features, labels).predict

    curves = learning_curves(
        {"bayes": bayes, "always 1": lambda *_: lambda features: np.ones(len(features))},
        (x, y),
        (x, y),
        sizes,
        repeats=2,
    )
    assert seen == [3, 3, 10, 10, 200, 200]
    assert curves["bayes"].shape == (3, 2)
    assert curves["bayes"][2].mean() < curves["bayes"][0].mean()
    np.testing.assert_allclose(curves["always 1"], (y != 1).mean())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: decompose_error(3, 3, 1), "n: expected an int of at least 4, got 3"),
        (lambda: decompose_error(-1, 3, 1), "degree: expected an int of at least 0, got -1"),
        (
            lambda: decompose_error(1, 3, 1, learning_rate=1.0),
            "learning_rate: expected a fraction between 0 and",
        ),
        (lambda: simulated_tail(0, [0.1]), "n: expected an int of at least 1, got 0"),
        (lambda: simulated_tail(10, [0.1, 0.0]), "epsilon: expected a positive deviation, got 0.0"),
        (
            lambda: simulated_tail(10, [0.1], risk=1.5),
            "risk: expected a probability between 0 and 1, got 1.5",
        ),
        (lambda: hoeffding_deviation(0, 0.1), "n: expected an int of at least 1, got 0"),
        (
            lambda: learning_curves({}, (np.eye(3), np.arange(3)), (np.eye(3), np.arange(3)), [2]),
            "sizes: expected sizes from 3, one example per class, to 3, got 2",
        ),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()
