"""IS-NLL against models whose log p(x) is known exactly, and against a loop over images."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from keras_dl.metrics import active_units, binarized, importance_sampled_nll, kl_per_unit
from keras_dl.models import VAE


class LinearGaussian:
    """x = W z + b + noise: log p(x) = log N(x; b, W W' + s^2 I), and the posterior is Gaussian too.

    With orthogonal columns of W it is diagonal: mean W'(x - b) / (w^2 + s^2), variance s^2 / (w^2 + s^2).
    """

    def __init__(self, widen=1.0, shift=0.0):
        random = np.random.default_rng(0)
        directions, _ = np.linalg.qr(random.normal(size=(12, 3)))
        self.scales = np.array([2.0, 1.0, 0.5])
        self.weights = (directions * self.scales).astype(np.float32)
        self.bias = random.normal(size=12).astype(np.float32)
        self.noise = 0.4
        self.widen, self.shift = widen, shift

    def encode(self, image):
        x = tf.reshape(image, (-1, 12))
        variance = self.noise**2 / (self.scales**2 + self.noise**2)
        mean = (x - self.bias) @ self.weights / np.float32(self.scales**2 + self.noise**2) + self.shift
        return mean, tf.ones_like(mean) * np.log(variance * self.widen).astype(np.float32)

    def log_likelihood(self, image, z):
        x = tf.reshape(image, (-1, 1, 12))
        mean = z @ tf.transpose(self.weights) + self.bias
        return tf.reduce_sum(
            -0.5 * np.log(2 * np.pi * self.noise**2) - 0.5 * ((x - mean) / self.noise) ** 2, axis=-1
        )

    def exact_nll(self, images):
        covariance = self.weights @ self.weights.T + self.noise**2 * np.eye(12)
        return -multivariate_normal(self.bias, covariance).logpdf(images.reshape(-1, 12))


IMAGES = np.random.default_rng(1).normal(size=(230, 3, 4, 1)).astype(np.float32)


@pytest.mark.parametrize("num_samples", [1, 7, 50])
def test_with_the_exact_posterior_any_number_of_samples_is_exact(num_samples):
    model = LinearGaussian()
    np.testing.assert_allclose(
        importance_sampled_nll(model, IMAGES, num_samples), model.exact_nll(IMAGES), atol=2e-3, rtol=1e-5
    )


def test_with_another_posterior_it_converges_from_above():
    model = LinearGaussian(widen=1.5, shift=0.1)
    exact = model.exact_nll(IMAGES).mean()
    gaps = [importance_sampled_nll(model, IMAGES, k).mean() - exact for k in (1, 10, 100, 3000)]
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3]
    assert abs(gaps[3]) < 2e-3


def test_one_sample_is_the_negative_elbo_on_average():
    model = LinearGaussian(widen=1.5, shift=0.1)
    mean, log_variance = (np.asarray(part) for part in model.encode(IMAGES))
    # E_q log p(x | z) in closed form: the mean's misfit plus the variance that the decoder passes on.
    misfit = IMAGES.reshape(-1, 12) - mean @ model.weights.T - model.bias
    spread = (np.exp(log_variance) * model.scales**2).sum(axis=1)
    reconstruction = 6 * np.log(2 * np.pi * 0.16) + ((misfit**2).sum(axis=1) + spread) / 0.32
    kl = kl_per_unit(mean, log_variance).sum()
    draws = importance_sampled_nll(model, np.tile(IMAGES, (20, 1, 1, 1)), 1).reshape(20, -1).mean(axis=1)
    assert draws.mean() == pytest.approx(reconstruction.mean() + kl, abs=4 * draws.std() / np.sqrt(20))


def test_a_vae_agrees_with_a_loop_over_images():
    keras.utils.set_random_seed(0)
    model = VAE(3, (6, 6, 1), architecture="mlp", units=(16,))
    images = binarized(np.random.default_rng(0).random((4, 6, 6, 1)))
    random = np.random.default_rng(1)
    looped = []
    for image in images:
        mean, log_variance = (np.asarray(part)[0] for part in model.encode(image[None]))
        z = mean + np.exp(log_variance / 2) * random.normal(size=(20000, 3))
        p = np.asarray(model.decode(z.astype(np.float32)), np.float64)
        log_likelihood = (image * np.log(p) + (1 - image) * np.log1p(-p)).sum(axis=(1, 2, 3))
        log_weight = (
            log_likelihood + norm.logpdf(z).sum(1) - norm.logpdf(z, mean, np.exp(log_variance / 2)).sum(1)
        )
        looped.append(np.log(20000) - logsumexp(log_weight))
    np.testing.assert_allclose(importance_sampled_nll(model, images, 20000), looped, atol=0.02)


def test_the_seed_determines_the_draws_and_more_images_change_none():
    model = LinearGaussian(widen=1.5)
    whole = importance_sampled_nll(model, IMAGES, 5, seed=3)
    np.testing.assert_allclose(importance_sampled_nll(model, IMAGES[:130], 5, seed=3), whole[:130], rtol=1e-5)
    assert np.abs(importance_sampled_nll(model, IMAGES, 5, seed=4) - whole).min() > 0


def test_each_image_has_its_own_draws():
    repeated = np.repeat(IMAGES[:1], 230, axis=0)
    assert len(np.unique(importance_sampled_nll(LinearGaussian(widen=2.0), repeated, 1))) > 225


@pytest.mark.parametrize(
    ("images", "num_samples", "text"),
    [
        (np.zeros((0, 3, 4, 1)), 5, r"images: expected a batch \(N, H, W, C\) of at least one image"),
        (IMAGES, 0, "num_samples: expected an int of at least 1, got 0"),
        (IMAGES, 2.0, "num_samples: expected an int of at least 1, got 2.0"),
    ],
)
def test_wrong_arguments_are_named(images, num_samples, text):
    with pytest.raises(ValueError, match=text):
        importance_sampled_nll(LinearGaussian(), images, num_samples)


def test_binarized_images_have_the_intensities_as_their_mean():
    intensity = np.array([0.0, 0.2, 0.5, 1.0])
    drawn = binarized(np.broadcast_to(intensity, (20000, 4)), seed=7)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(axis=0), intensity, atol=0.015)
    np.testing.assert_array_equal(drawn, binarized(np.broadcast_to(intensity, (20000, 4)), seed=7))


@pytest.mark.parametrize("image", [[0.0, 255.0], [-0.1, 1.0], [np.nan, 0.5]])
def test_only_intensities_are_binarized(image):
    with pytest.raises(ValueError, match="images: expected intensities from 0 to 1, got "):
        binarized(image)


def test_active_units_vary():
    mean = np.random.default_rng(0).normal(size=(5000, 3)) * np.sqrt([1.0, 0.02, 0.005]) + [0, 0, 9]
    assert active_units(mean).tolist() == [True, True, False]
    assert active_units(mean, threshold=0.1).sum() == 1


def test_kl_per_unit_matches_monte_carlo():
    mean, log_variance = np.array([[0.0, 1.5, -0.4]]), np.array([[0.0, -1.0, 0.7]])
    deviation = np.exp(log_variance / 2)
    z = mean + deviation * np.random.default_rng(0).normal(size=(400_000, 3))
    sampled = (norm.logpdf(z, mean, deviation) - norm.logpdf(z)).mean(axis=0)
    np.testing.assert_allclose(kl_per_unit(mean, log_variance), sampled, atol=0.01)
