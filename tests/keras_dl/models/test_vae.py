"""The VAE against mathematics done by hand: closed forms, the linear model, orderings of bounds."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_dl.models import VAE, densities

IMAGES = np.random.default_rng(0).random((20, 6, 6, 1), dtype=np.float32)


def tiny(**arguments: Any) -> Any:
    model = VAE(
        **{"latent_dim": 2, "image_shape": (6, 6, 1), "architecture": "mlp", "units": (5,), **arguments}
    )
    model.compile("adam")
    return model


def linear(sigma: float = 0.5, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """A VAE that is exact: x = A z + c + sigma noise, whose posterior is an axis-aligned Gaussian.

    The columns of A are orthogonal. Returns the model, six images x, their log p(x), and a generator.
    """
    random = np.random.default_rng(seed)
    columns = np.linalg.qr(random.standard_normal((12, 3)))[0] * [0.8, 0.5, 0.3]
    offset = random.uniform(0.3, 0.7, 12)
    model = VAE(3, (4, 3, 1), "mlp", "gaussian", units=(), sigma=sigma)
    precision = 1 + np.square(columns).sum(axis=0) / sigma**2
    posterior = columns / sigma**2 / precision
    encoder = np.hstack([posterior, np.zeros((12, 3))])
    encoder_offset = np.concatenate([-offset @ posterior, -np.log(precision)])
    model.set_weights([encoder, encoder_offset, columns.T, offset])
    evidence = stats.multivariate_normal(offset, columns @ columns.T + sigma**2 * np.eye(12))
    x = evidence.rvs(6, random_state=1).astype("float32")
    return model, x.reshape(6, 4, 3, 1), evidence.logpdf(x), random


def normal(random: Any, *shape: int) -> tf.Tensor:
    return tf.constant(random.standard_normal(shape), tf.float32)


def test_the_densities_are_scipy_s() -> None:
    random = np.random.default_rng(0)
    a, mean, log_variance = random.standard_normal((3, 50)).astype("float32") * 3
    bits = (random.random(50) < 0.5).astype("float32")
    np.testing.assert_allclose(
        densities.bernoulli_log_density(bits, a),
        stats.bernoulli(1 / (1 + np.exp(-a))).logpmf(bits),
        rtol=1e-4,
    )
    np.testing.assert_allclose(
        densities.gaussian_log_density(a, mean, log_variance),
        stats.norm(mean, np.exp(log_variance / 2)).logpdf(a),
        rtol=1e-4,
    )


def test_the_bernoulli_density_survives_large_logits() -> None:
    np.testing.assert_allclose(
        densities.bernoulli_log_density(np.float32([0, 1, 1]), np.float32([1e4, 1e4, -1e4])), [-1e4, 0, -1e4]
    )


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.5, -2.0), (-0.3, 1.0)])
def test_the_closed_form_of_the_kl_is_its_monte_carlo_estimate(mean: float, log_variance: float) -> None:
    q = stats.norm(mean, np.exp(log_variance / 2))
    z = q.rvs(200_000, random_state=0)
    draws = q.logpdf(z) - stats.norm.logpdf(z)
    error = 5 * draws.std() / np.sqrt(z.size) + 1e-6
    assert (
        abs(densities.kl_to_standard_normal(np.float32(mean), np.float32(log_variance)) - draws.mean())
        < error
    )


def test_under_the_exact_posterior_every_importance_weight_is_the_evidence() -> None:
    model, x, evidence, random = linear()
    log_weights = model.log_importance_weights(x, normal(random, 6, 10, 3))
    np.testing.assert_allclose(log_weights, np.repeat(evidence[:, None], 10, axis=1), rtol=1e-4)


def test_the_elbo_is_the_evidence_less_the_gap_to_the_posterior() -> None:
    model, x, evidence, random = linear()
    epsilon = normal(random, 6, 20_000, 3)
    np.testing.assert_allclose(-model.terms(x, epsilon).loss, evidence, atol=0.1)
    weights = model.get_weights()
    weights[1][0] += 0.5  # moves the mean of q(z_1 | x), whose variance stays
    model.set_weights(weights)
    gap = 0.5 * 0.25 / np.exp(weights[1][3])
    np.testing.assert_allclose(-model.terms(x, epsilon).loss, evidence - gap, atol=0.1)


def test_the_importance_weighted_bound_grows_with_k_towards_the_evidence() -> None:
    model, x, evidence, random = linear()
    weights = model.get_weights()
    weights[1][:3] += 0.4
    weights[1][3:] += 0.5
    model.set_weights(weights)
    log_weights = model.log_importance_weights(x, normal(random, 6, 32_000, 3)).numpy()
    bounds = []
    for k in (1, 2, 8, 32):
        groups = log_weights.reshape(6, -1, k)
        bounds.append((np.logaddexp.reduce(groups, axis=-1) - np.log(k)).mean(axis=1))
    assert (np.diff(bounds, axis=0) > 0).all()
    assert (np.array(bounds) < evidence + 0.02).all()
    assert (bounds[-1] > evidence - 0.1).all()


def test_the_iwae_loss_is_the_log_mean_of_the_importance_weights() -> None:
    model, random = tiny(bound="iwae", num_samples=4), np.random.default_rng(0)
    epsilon = normal(random, 20, 4, 2)
    log_weights = model.log_importance_weights(IMAGES, epsilon).numpy()
    wanted = -(np.logaddexp.reduce(log_weights, axis=1) - np.log(4))
    np.testing.assert_allclose(model.terms(IMAGES, epsilon).loss, wanted, rtol=1e-5)


def test_with_one_sample_both_bounds_have_the_same_expectation() -> None:
    random = np.random.default_rng(0)
    model = tiny()
    epsilon = normal(random, 20, 4000, 2)
    by_samples = model.log_importance_weights(IMAGES, epsilon).numpy().mean(axis=1)
    np.testing.assert_allclose(-model.terms(IMAGES, epsilon).loss, by_samples, atol=0.15)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_terms_are_computed_pixel_by_pixel(likelihood: str) -> None:
    model, random = tiny(likelihood=likelihood, beta=3.0, num_samples=2), np.random.default_rng(0)
    epsilon = normal(random, 20, 2, 2)
    terms = model.terms(IMAGES, epsilon)
    mean, log_variance = (part.numpy() for part in model.encode(IMAGES))
    reconstruction = np.zeros(20)
    for image in range(20):
        for k in range(2):
            z = mean[image] + np.exp(log_variance[image] / 2) * epsilon[image, k].numpy()
            parameters = model.decoder(z[None])[0].numpy()
            if likelihood == "bernoulli":
                p = 1 / (1 + np.exp(-parameters))
                log_density = IMAGES[image] * np.log(p) + (1 - IMAGES[image]) * np.log(1 - p)
            else:
                log_density = stats.norm(parameters, 1.0).logpdf(IMAGES[image])
            reconstruction[image] -= log_density.sum() / 2
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
    np.testing.assert_allclose(terms.reconstruction, reconstruction, rtol=1e-4)
    np.testing.assert_allclose(terms.kl, kl, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(terms.loss, reconstruction + 3 * kl, rtol=1e-4)


def test_the_figures_add_up() -> None:
    history = tiny(beta=2.0).fit(IMAGES, epochs=2, validation_data=IMAGES[:5], verbose=0).history
    for prefix in ("", "val_"):
        loss, reconstruction, kl, elbo = (
            np.array(history[prefix + name]) for name in ("loss", "reconstruction", "kl", "elbo")
        )
        np.testing.assert_allclose(loss, reconstruction + 2 * kl, rtol=1e-5)
        np.testing.assert_allclose(elbo, -(reconstruction + kl), rtol=1e-5)


def test_training_raises_the_elbo() -> None:
    images = np.repeat(IMAGES[:2], 50, axis=0)
    model = tiny(units=(20,))
    before = model.evaluate(images, verbose=0, return_dict=True)["elbo"]
    model.fit(images, epochs=20, verbose=0)
    assert model.evaluate(images, verbose=0, return_dict=True)["elbo"] > before + 0.5


def test_a_learned_sigma_finds_the_noise_in_the_images() -> None:
    noisy = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((500, 6, 6, 1)).clip(-4, 4)
    model = tiny(likelihood="gaussian")
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(noisy.astype("float32"), epochs=25, batch_size=50, verbose=0)
    assert np.exp(float(model.log_sigma)) == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("dynamic_binarization", [False, True])
def test_evaluation_draws_the_same_for_an_image_in_batches_of_any_size(dynamic_binarization: bool) -> None:
    model = tiny(dynamic_binarization=dynamic_binarization, num_samples=2)
    by_7, by_20 = (model.evaluate(IMAGES, batch_size=size, verbose=0, return_dict=True) for size in (7, 20))
    for name in by_7:
        assert by_7[name] == pytest.approx(by_20[name], rel=1e-5)


def test_binarised_pixels_are_1_as_often_as_they_are_bright() -> None:
    model = tiny(dynamic_binarization=True)
    gray = np.full((3000, 6, 6, 1), 0.3, "float32")
    first, _ = model._draw(gray, step=1, stream=0)
    again, _ = model._draw(gray, step=2, stream=0)
    assert set(np.unique(first)) == {0.0, 1.0}
    assert np.mean(first) == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / gray.size))
    assert np.mean(first == again) == pytest.approx(0.58, abs=0.01)  # 0.3^2 + 0.7^2: drawn anew


def test_labels_change_nothing() -> None:
    model, twin = tiny(), tiny()
    twin.set_weights(model.get_weights())
    model.fit(IMAGES, shuffle=False, verbose=0)
    twin.fit(IMAGES, np.arange(20), shuffle=False, verbose=0)
    for first, second in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_beta_0_leaves_the_posterior_free_and_a_large_beta_closes_it() -> None:
    kl = {}
    for beta in (0.0, 50.0):
        model = tiny(beta=beta)
        model.compile(keras.optimizers.Adam(0.02))
        model.fit(IMAGES, epochs=30, verbose=0)
        kl[beta] = model.evaluate(IMAGES, verbose=0, return_dict=True)["kl"]
    assert kl[50.0] < 0.1 * kl[0.0]


@pytest.mark.parametrize("image_shape", [(28, 28, 1), (32, 32, 3), (8, 8, 1), (27, 10, 2)])
@pytest.mark.parametrize("architecture", ["conv", "mlp"])
def test_any_image_shape_comes_back(image_shape: tuple[int, int, int], architecture: Any) -> None:
    images = np.random.default_rng(0).random((3, *image_shape), dtype=np.float32)
    model = VAE(4, image_shape, architecture, filters=(4, 4), units=(8,))
    reconstruction = model.reconstruct(images).numpy()
    assert reconstruction.shape == images.shape
    assert reconstruction.min() >= 0
    assert reconstruction.max() <= 1
    np.testing.assert_allclose(model.predict(images, verbose=0), reconstruction, atol=1e-5)


def test_interpolation_ends_at_the_reconstructions() -> None:
    model = tiny()
    path = model.interpolate(IMAGES[:3], IMAGES[3:6], steps=5).numpy()
    assert path.shape == (3, 5, 6, 6, 1)
    np.testing.assert_allclose(path[:, 0], model.reconstruct(IMAGES[:3]), atol=1e-6)
    np.testing.assert_allclose(path[:, -1], model.reconstruct(IMAGES[3:6]), atol=1e-6)
    halfway = (model.encode(IMAGES[:3])[0] + model.encode(IMAGES[3:6])[0]) / 2
    np.testing.assert_allclose(path[:, 2], model.decode(halfway), atol=1e-6)


def test_samples_repeat_by_seed() -> None:
    model = tiny()
    np.testing.assert_array_equal(model.sample(4, seed=1), model.sample(4, seed=1))
    assert model.sample(4, seed=1).shape == (4, 6, 6, 1)
    assert not np.isclose(model.sample(4, seed=1), model.sample(4, seed=2)).all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"latent_dim": 0}, "latent_dim: expected an int of at least 1, got 0"),
        ({"image_shape": (28, 28)}, "image_shape: expected \\(height, width, channels\\)"),
        ({"architecture": "resnet"}, "architecture: expected 'conv' or 'mlp', got 'resnet'"),
        ({"likelihood": "poisson"}, "likelihood: expected 'bernoulli' or 'gaussian', got 'poisson'"),
        ({"bound": "vr"}, "bound: expected 'elbo' or 'iwae', got 'vr'"),
        ({"num_samples": 0}, "num_samples: expected an int of at least 1, got 0"),
        ({"beta": -1}, "beta: expected a weight of at least 0.*got beta=-1"),
        ({"beta": 2, "bound": "iwae"}, "beta: .*1 with bound='iwae', got beta=2"),
        ({"sigma": 0.1}, "sigma: expected None.*got sigma=0.1 and likelihood='bernoulli'"),
        ({"sigma": -1.0, "likelihood": "gaussian"}, "sigma: expected None, or a positive standard deviation"),
        ({"dynamic_binarization": True, "likelihood": "gaussian"}, "dynamic_binarization: expected False"),
        ({"architecture": "conv", "filters": ()}, "filters: expected at least one width.*architecture='mlp'"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        VAE(**arguments)


def test_images_outside_0_to_1_end_fit_evaluate_and_predict() -> None:
    for method in (tiny().fit, tiny().evaluate, tiny().predict):
        with pytest.raises(ValueError, match="^image: expected values from 0 to 1, got values from .*Divide"):
            method(IMAGES * 255, verbose=0)


def test_images_of_another_shape_are_refused_also_after_training() -> None:
    model = tiny()
    model.fit(IMAGES, verbose=0)
    for _ in range(2):  # the second time Keras traces with unknown sizes
        with pytest.raises(
            ValueError, match=r"image: expected shape \(batch, 6, 6, 1\), got .*build the VAE"
        ):
            model.fit(IMAGES[:, :4], verbose=0)
    with pytest.raises(ValueError, match=r"image: expected shape \(batch, 6, 6, 1\), got"):
        model.predict(IMAGES[:, :4], verbose=0)


def test_losses_metrics_and_sample_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="loss: expected None, because a VAE trains on its bound.*got 'mse'"):
        tiny().compile("adam", loss="mse")
    with pytest.raises(ValueError, match="metrics: expected None"):
        tiny().compile("adam", metrics=["mae"])
    with pytest.raises(ValueError, match="sample_weight: expected None"):
        tiny().fit(IMAGES, np.zeros(20), sample_weight=np.ones(20), verbose=0)


def test_what_cannot_be_decoded_or_interpolated_is_refused() -> None:
    with pytest.raises(ValueError, match="steps: expected an int of at least 2, got 1"):
        tiny().interpolate(IMAGES[:1], IMAGES[1:2], steps=1)
    with pytest.raises(ValueError, match=r"start, end: .*latents of the same shape.* got \(1, .* \(2, "):
        tiny().interpolate(IMAGES[:1], IMAGES[:2])
    with pytest.raises(ValueError, match=r"z: expected shape \(batch, \d+\), got \(1, 9\)"):
        tiny().decode(np.zeros((1, 9)))
    with pytest.raises(ValueError, match="beta: expected a weight of at least 0"):
        tiny(beta=float("nan"))
