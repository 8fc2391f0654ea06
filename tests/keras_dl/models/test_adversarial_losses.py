"""The games' losses against their closed forms in float64."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_dl.models.gan.adversarial_losses import ADVERSARIAL_LOSSES, gradient_penalty

LOGITS = np.linspace(-8, 8, 33)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


D = sigmoid(LOGITS)

# What the papers write: (real, fake, generator).
FORMULAS = {
    "minimax": (-np.log(D), -np.log(1 - D), np.log(1 - D)),
    "non_saturating": (-np.log(D), -np.log(1 - D), -np.log(D)),
    "hinge": (np.maximum(0, 1 - LOGITS), np.maximum(0, 1 + LOGITS), -LOGITS),
    "least_squares": ((LOGITS - 1) ** 2 / 2, LOGITS**2 / 2, (LOGITS - 1) ** 2 / 2),
    "wasserstein": (-LOGITS, LOGITS, -LOGITS),
}


def slope(function, logits):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = function(logits)
    return tape.gradient(losses, logits).numpy()


def test_every_loss_has_its_formula_here():
    assert set(FORMULAS) == set(ADVERSARIAL_LOSSES)


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_values_are_the_papers(name):
    game = ADVERSARIAL_LOSSES[name]
    real, fake, generator = FORMULAS[name]
    logits = tf.constant(LOGITS)
    np.testing.assert_allclose(game.real(logits, 0.0), real, rtol=1e-9)
    np.testing.assert_allclose(game.fake(logits), fake, rtol=1e-9)
    np.testing.assert_allclose(game.generator(logits), generator, rtol=1e-9)


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_sure_discriminators_give_finite_losses_and_slopes(name):
    game = ADVERSARIAL_LOSSES[name]
    for function in (lambda logits: game.real(logits, 0.0), game.fake, game.generator):
        logits = np.array([-1e4, 1e4], np.float32)
        assert np.isfinite(function(logits)).all()
        assert np.isfinite(slope(function, logits)).all()


def test_as_the_discriminator_sees_through_the_generator_one_gradient_vanishes_and_the_other_does_not():
    """With d = D(G(z)): d/dl log(1 - sigma(l)) = -d -> 0, and d/dl (-log sigma(l)) = -(1 - d) -> -1."""
    logits = np.array([-1.0, -5.0, -20.0, -60.0])
    d = sigmoid(logits)
    np.testing.assert_allclose(slope(ADVERSARIAL_LOSSES["minimax"].generator, logits), -d, rtol=1e-9)
    np.testing.assert_allclose(
        slope(ADVERSARIAL_LOSSES["non_saturating"].generator, logits), -(1 - d), rtol=1e-9
    )


def test_the_best_discriminator_leaves_the_jensen_shannon_divergence():
    """min_D E_p[-log D] + E_q[-log(1 - D)] = log 4 - 2 JSD(p, q), at the logits log p/q (notes 4.2)."""
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(7), size=2)
    game = ADVERSARIAL_LOSSES["minimax"]

    def cost(logits):
        return float(np.sum(p * game.real(logits, 0.0)) + np.sum(q * game.fake(logits)))

    middle = (p + q) / 2
    divergence = (np.sum(p * np.log(p / middle)) + np.sum(q * np.log(q / middle))) / 2
    best = tf.constant(np.log(p / q))
    assert cost(best) == pytest.approx(np.log(4) - 2 * divergence)
    for _ in range(20):
        assert cost(best + rng.normal(size=7)) > cost(best)


@pytest.mark.parametrize("smoothing", [0.1, 0.3])
def test_smoothed_targets_are_where_the_cost_of_real_data_is_least(smoothing):
    best = {
        "minimax": np.log((1 - smoothing) / smoothing),  # sigma(l) = 1 - s
        "non_saturating": np.log((1 - smoothing) / smoothing),
        "least_squares": 1 - smoothing,
    }
    assert set(best) == {name for name, game in ADVERSARIAL_LOSSES.items() if game.smooths}
    for name, logit in best.items():
        game = ADVERSARIAL_LOSSES[name]
        at = slope(
            lambda logits, game=game: game.real(logits, smoothing), np.array([logit - 1, logit, logit + 1])
        )
        assert at[0] < 0 < at[2]
        assert at[1] == pytest.approx(0, abs=1e-12)


def test_penalty_of_a_quadratic_critic():
    """D(x) = |x|^2 / 2 has the gradient x, so the penalty is (|u x + (1 - u) x'| - 1)^2."""
    rng = np.random.default_rng(0)
    real, fake = rng.random((2, 5, 3, 2)).astype("float32")
    share = rng.random((5, 1, 1)).astype("float32")
    got = gradient_penalty(
        lambda x: tf.reduce_sum(x**2, axis=(1, 2), keepdims=True) / 2, *map(tf.constant, (real, fake, share))
    )
    between = (share * real + (1 - share) * fake).reshape(5, -1)
    np.testing.assert_allclose(got, (np.linalg.norm(between, axis=1) - 1) ** 2, rtol=1e-4)


@pytest.mark.parametrize("length", [3.0, 0.0])
def test_penalty_of_a_linear_critic_and_its_gradient_also_at_zero(length):
    """D(x) = w.x: the penalty is (|w| - 1)^2, its gradient 2 (|w| - 1) w / |w|, and 0, not NaN, at w = 0."""
    direction = np.array([0.6, 0.8], np.float32)
    w = tf.Variable(length * direction)
    x = tf.constant(np.random.default_rng(0).random((4, 2)).astype("float32"))
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(lambda x: tf.linalg.matvec(x, w)[:, None], x, 1 - x, tf.ones((4, 1)) / 3)
        mean = tf.reduce_mean(penalty)
    np.testing.assert_allclose(penalty, (length - 1) ** 2, rtol=1e-5)
    expected = 2 * (length - 1) * direction if length else np.zeros(2)
    np.testing.assert_allclose(tape.gradient(mean, w), expected, rtol=1e-5)
