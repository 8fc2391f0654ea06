"""The bound of a linear-Gaussian VAE against scipy's densities, quadrature and draws."""

import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from keras_dl.theory import LinearGaussianVAE, principal_components

RNG = np.random.default_rng(0)
MODEL = LinearGaussianVAE(RNG.standard_normal((4, 2)), RNG.standard_normal(4), 0.7)
X = MODEL.sample(50, seed=1)
M, V = RNG.standard_normal((50, 2)), RNG.uniform(0.1, 2, (50, 2))


def test_log_evidence_is_that_of_the_marginal_gaussian():
    covariance = MODEL.weight @ MODEL.weight.T + 0.49 * np.eye(4)
    exact = stats.multivariate_normal(MODEL.mean, covariance).logpdf(X)
    np.testing.assert_allclose(MODEL.log_evidence(X), exact, rtol=1e-10)


def test_the_posterior_is_bayes_rule():
    mean, covariance = MODEL.posterior(X[:1])
    z = RNG.standard_normal((20, 2))
    joint = stats.norm(0, 1).logpdf(z).sum(1)
    joint += stats.norm(z @ MODEL.weight.T + MODEL.mean, 0.7).logpdf(X[:1]).sum(1)
    by_bayes = joint - MODEL.log_evidence(X[:1])
    np.testing.assert_allclose(stats.multivariate_normal(mean[0], covariance).logpdf(z), by_bayes, rtol=1e-8)


def test_the_elbo_never_exceeds_log_p_and_lacks_the_divergence():
    bound, exact = MODEL.elbo(X, M, V), MODEL.log_evidence(X)
    assert (bound <= exact).all()
    np.testing.assert_allclose(exact - bound, MODEL.gap(X, M, V), rtol=1e-9)


def test_the_elbo_is_the_mean_of_its_draws():
    draws = 200_000
    z = M[0] + np.sqrt(V[0]) * RNG.standard_normal((draws, 2))
    term = stats.norm(z @ MODEL.weight.T + MODEL.mean, 0.7).logpdf(X[0]).sum(1)
    term += stats.norm(0, 1).logpdf(z).sum(1) - stats.norm(M[0], np.sqrt(V[0])).logpdf(z).sum(1)
    # Five standard errors: a false alarm in two million.
    assert abs(term.mean() - MODEL.elbo(X[:1], M[:1], V[:1])[0]) < 5 * term.std() / np.sqrt(draws)


def test_the_bound_is_tight_at_a_posterior_that_q_can_be():
    weight = np.array([[1.0, 0], [0, 2], [0, 0]])  # orthogonal columns: a diagonal posterior
    model = LinearGaussianVAE(weight, np.zeros(3), 0.5)
    x = model.sample(5)
    mean, covariance = model.posterior(x)
    variance = np.tile(np.diag(covariance), (5, 1))
    np.testing.assert_allclose(model.elbo(x, mean, variance), model.log_evidence(x), rtol=1e-12)
    # Then every importance weight is p(x) itself.
    np.testing.assert_allclose(model.iwae(x, mean, variance, 3), model.log_evidence(x), rtol=1e-10)


def test_the_iwae_bound_tightens_with_k():
    mean, covariance = MODEL.posterior(X)
    variance = np.tile(np.diag(covariance), (50, 1))
    means, errors = [], []
    for k in (1, 4, 16, 64):
        draws = np.array([MODEL.iwae(X, mean, variance, k, seed=seed).mean() for seed in range(200)])
        means.append(draws.mean())
        errors.append(5 * draws.std() / np.sqrt(200))
    assert abs(means[0] - MODEL.elbo(X, mean, variance).mean()) < errors[0]
    for low, high, error in zip(means[:-1], means[1:], errors[:-1], strict=True):
        assert high > low + error / 10
    assert means[-1] <= MODEL.log_evidence(X).mean() + errors[-1]
    assert MODEL.log_evidence(X).mean() - means[-1] < MODEL.gap(X, mean, variance).mean() / 10


def test_the_best_model_is_that_of_probabilistic_pca():
    data = MODEL.sample(500, seed=2)
    model = principal_components(data, 2)
    peer = PCA(2).fit(data)
    # scikit-learn divides by N - 1.
    peer.explained_variance_ *= 499 / 500
    peer.noise_variance_ *= 499 / 500
    np.testing.assert_allclose(model.log_evidence(data), peer.score_samples(data), rtol=1e-8)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: LinearGaussianVAE(np.eye(2), np.zeros(3), 1.0), r"mean: expected an array of shape \(2\)"),
        (
            lambda: LinearGaussianVAE(np.eye(2), np.zeros(2), 0.0),
            "sigma: expected a positive number, got 0.0",
        ),
        (lambda: MODEL.elbo(X, M, -V), "v: expected positive variances"),
        (lambda: MODEL.iwae(X, M, V, 0), "k: expected an int of at least 1, got 0"),
        (lambda: principal_components(X, 4), "latent_dim: expected less than the 4 dimensions"),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()
