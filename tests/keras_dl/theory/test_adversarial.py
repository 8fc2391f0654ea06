"""The GAN's value against calculus, optimization and finite differences."""

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.spatial.distance import jensenshannon

from keras_dl.theory import (
    fit_discriminator,
    game_value,
    generator_gradients,
    jensen_shannon_divergence,
    mode_coverage,
    optimal_discriminator,
    ring_centers,
    ring_of_gaussians,
)

X = np.linspace(-12, 12, 4001)
P, Q = stats.norm(-1, 1).pdf(X), stats.norm(1.5, 0.7).pdf(X)


def test_no_probability_is_worth_more_than_the_optimal_one():
    for p, q in [(0.3, 0.1), (2.0, 2.0), (0.01, 5.0)]:
        found = optimize.minimize_scalar(
            lambda d, p=p, q=q: -(p * np.log(d) + q * np.log(1 - d)),
            bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-10},
        )  # fmt: skip
        assert optimal_discriminator(p, q) == pytest.approx(found.x, abs=1e-6)
    assert optimal_discriminator(0.0, 0.0) == 0.5


def test_the_value_at_the_optimum_is_two_jsd_minus_log_4():
    d = optimal_discriminator(P, Q)
    jsd = jensen_shannon_divergence(P, Q, X)
    assert game_value(P, Q, d, X) == pytest.approx(2 * jsd - np.log(4), abs=1e-9)
    assert jsd == pytest.approx(jensenshannon(P, Q) ** 2, abs=1e-6)
    assert game_value(P, P, optimal_discriminator(P, P), X) == pytest.approx(-np.log(4), abs=1e-9)
    for other in (0.9 * d, np.full_like(d, 0.5), d**2):
        assert game_value(P, Q, other, X) < game_value(P, Q, d, X)


def test_disjoint_densities_are_log_2_apart():
    first, second = np.where(X < -1, 1.0, 0), np.where(X > 1, 1.0, 0)
    first, second = (each / np.trapezoid(each, X) for each in (first, second))
    assert jensen_shannon_divergence(first, second, X) == pytest.approx(np.log(2), abs=1e-9)


def test_the_optimal_discriminator_is_recovered_from_draws():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(-1, 1, 100_000), rng.normal(1.5, 0.7, 100_000)
    d = fit_discriminator(real, fake)
    exact = optimal_discriminator(P, Q)
    seen = (P + Q) > 0.02
    assert np.abs(d(X) - exact)[seen].max() < 0.02


def test_the_fit_is_the_maximum():
    rng = np.random.default_rng(1)
    real, fake = rng.normal(0, 1, 300), rng.normal(1, 1, 300)

    def value(c):
        logits = [np.polynomial.polynomial.polyval(x, c) for x in (real, fake)]
        return np.logaddexp(0, -logits[0]).mean() + np.logaddexp(0, logits[1]).mean()

    best = optimize.minimize(value, np.zeros(3), tol=1e-12).x
    d = fit_discriminator(real, fake)
    expected = 1 / (1 + np.exp(-np.polynomial.polynomial.polyval(X[1800:2200], best)))
    np.testing.assert_allclose(d(X[1800:2200]), expected, atol=1e-4)


def test_generator_gradients_are_the_slopes_of_the_losses():
    logits = np.linspace(-8, 4, 25)
    h = 1e-5
    found = generator_gradients(1 / (1 + np.exp(-logits)))
    minimax, rewritten = (lambda a: -np.logaddexp(0, a)), (lambda a: np.logaddexp(0, -a))
    for loss, gradient in ((minimax, found.minimax), (rewritten, found.non_saturating)):
        slope = np.abs(loss(logits + h) - loss(logits - h)) / (2 * h)
        np.testing.assert_allclose(gradient, slope, atol=1e-8)
    assert generator_gradients(0.0) == (0, 1)


def test_coverage_counts_the_present_modes():
    centers = ring_centers(8, 2.0)
    np.testing.assert_allclose(np.linalg.norm(centers, axis=1), 2)
    whole = mode_coverage(ring_of_gaussians(8000, centers, 0.05), centers, 0.05)
    assert whole.covered == 8
    assert whole.quality == pytest.approx(1 - np.exp(-4.5), abs=0.01)  # 2-D Gaussians within 3 sigma
    np.testing.assert_allclose(whole.shares, 1 / 8, atol=0.02)
    collapsed = mode_coverage(ring_of_gaussians(1000, centers[:2], 0.05), centers, 0.05)
    assert collapsed.covered == 2
    assert mode_coverage(np.zeros((10, 2)), centers, 0.05).quality == 0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: optimal_discriminator(-1.0, 1.0), "p, q: expected densities of at least 0"),
        (lambda: generator_gradients(1.5), r"probability: expected numbers in \[0, 1\]"),
        (lambda: game_value(P, Q[:5], P, X), r"q: expected an array of shape \(4001\), got \(5,\)"),
        (lambda: ring_centers(0), "modes: expected an int of at least 1, got 0"),
        (lambda: ring_of_gaussians(5, [[0, 0]], 0.0), "sigma: expected a positive number, got 0.0"),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()
