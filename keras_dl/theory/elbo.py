"""The ELBO of a VAE whose log p(x) is known exactly: a linear decoder with Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keras_dl.theory.numeric_arguments import Array, check_array, check_positive
from keras_dl_export.arguments import check_int


@dataclass(frozen=True)
class LinearGaussianVAE:
    """A VAE whose integrals have closed forms.

        z ~ N(0, I_Z),  x | z ~ N(W z + mu, sigma^2 I_D)

        log p(x) = log N(x; mu, W W^T + sigma^2 I)
        p(z | x) = N(S W^T (x - mu) / sigma^2, S),  S = (I + W^T W / sigma^2)^{-1}

    The encoder is any Gaussian q(z | x) = N(m, diag v), specified by its means m and variances v.

    Args:
        weight: W, (D, Z).
        mean: mu, (D,).
        sigma: standard deviation of x given z.

    Raises:
        ValueError: the shapes do not match, or `sigma` is not positive.

    Reference: notes 4.1.1; Tipping and Bishop, Probabilistic principal component analysis (1999).
    """

    weight: Array
    mean: Array
    sigma: float

    def __post_init__(self) -> None:
        weight = check_array("weight", self.weight, None, None)
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "mean", check_array("mean", self.mean, len(weight)))
        check_positive("sigma", self.sigma)

    def log_evidence(self, x: ArrayLike) -> Array:
        """Return log p(x) in nats, (B,), for x (B, D)."""
        data = self._data(x)
        covariance = self.weight @ self.weight.T + self.sigma**2 * np.eye(len(self.mean))
        deviation = data - self.mean
        square = np.einsum("bd,bd->b", deviation, np.linalg.solve(covariance, deviation.T).T)
        log_determinant = np.linalg.slogdet(covariance)[1]
        return np.asarray(-0.5 * (len(self.mean) * np.log(2 * np.pi) + log_determinant + square))

    def posterior(self, x: ArrayLike) -> tuple[Array, Array]:
        """Return mean (B, Z) and covariance S (Z, Z) of p(z | x) for x (B, D)."""
        precision = np.eye(self.weight.shape[1]) + self.weight.T @ self.weight / self.sigma**2
        covariance = np.asarray(np.linalg.inv(precision), np.float64)
        return (self._data(x) - self.mean) @ self.weight @ covariance / self.sigma**2, covariance

    def elbo(self, x: ArrayLike, m: ArrayLike, v: ArrayLike) -> Array:
        """Return E_q[log p(x | z)] - KL[q(z | x) || p(z)] in nats, in closed form.

        Args:
            x: (B, D).
            m: means of q, (B, Z).
            v: variances of q, (B, Z).

        Returns:
            (B,), at most `log_evidence`.
        """
        data, mean, variance = self._data(x), *self._encoder(x, m, v)
        dimensions = data.shape[1]
        misfit = ((data - self.mean - mean @ self.weight.T) ** 2).sum(axis=1)
        spread = variance @ (self.weight**2).sum(axis=0)
        reconstruction = -0.5 * (
            dimensions * np.log(2 * np.pi * self.sigma**2) + (misfit + spread) / self.sigma**2
        )
        kl = 0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(axis=1)
        return np.asarray(reconstruction - kl)

    def gap(self, x: ArrayLike, m: ArrayLike, v: ArrayLike) -> Array:
        """Return KL[q(z | x) || p(z | x)] in nats, (B,), the gap log p(x) - ELBO; see `elbo`."""
        mean, variance = self._encoder(x, m, v)
        exact, covariance = self.posterior(x)
        precision = np.linalg.inv(covariance)
        deviation = mean - exact
        trace = variance @ np.diag(precision)
        square = np.einsum("bz,zy,by->b", deviation, precision, deviation)
        log_ratio = np.linalg.slogdet(covariance)[1] - np.log(variance).sum(axis=1)
        return np.asarray(0.5 * (trace + square - mean.shape[1] + log_ratio))

    def iwae(self, x: ArrayLike, m: ArrayLike, v: ArrayLike, k: int, *, seed: int = 0) -> Array:
        """Return log 1/k sum_j p(x, z_j) / q(z_j | x) with k draws z_j ~ q(z | x).

        Its expectation is the ELBO for k = 1, increases with k and converges to log p(x).

        Args:
            x: (B, D).
            m: means of q, (B, Z).
            v: variances of q, (B, Z).
            k: the number of draws.
            seed: seed of the draws.

        Returns:
            One draw of the bound for each x, (B,), in nats.

        Reference: Burda, Grosse and Salakhutdinov, Importance weighted autoencoders (ICLR 2016).
        """
        data, mean, variance = self._data(x), *self._encoder(x, m, v)
        shape = (len(data), check_int("k", k), mean.shape[1])
        epsilon = np.random.default_rng(seed).standard_normal(shape)
        z = mean[:, None] + np.sqrt(variance)[:, None] * epsilon
        misfit = ((data[:, None] - self.mean - z @ self.weight.T) ** 2).sum(axis=2)
        log_likelihood = -0.5 * (data.shape[1] * np.log(2 * np.pi * self.sigma**2) + misfit / self.sigma**2)
        # The constants of prior and encoder cancel.
        log_ratio = 0.5 * (epsilon**2 - z**2).sum(axis=2) + 0.5 * np.log(variance).sum(axis=1)[:, None]
        log_weights = log_likelihood + log_ratio
        highest = log_weights.max(axis=1, keepdims=True)
        return np.asarray(highest[:, 0] + np.log(np.exp(log_weights - highest).mean(axis=1)))

    def sample(self, n: int, *, seed: int = 0) -> Array:
        """Draw x ~ p(x), (n, D), through z."""
        rng = np.random.default_rng(seed)
        z = rng.standard_normal((check_int("n", n), self.weight.shape[1]))
        noise = self.sigma * rng.standard_normal((n, len(self.mean)))
        return np.asarray(z @ self.weight.T + self.mean + noise)

    def _data(self, x: ArrayLike) -> Array:
        return check_array("x", x, None, len(self.mean))

    def _encoder(self, x: ArrayLike, m: ArrayLike, v: ArrayLike) -> tuple[Array, Array]:
        shape = (len(self._data(x)), self.weight.shape[1])
        mean, variance = check_array("m", m, *shape), check_array("v", v, *shape)
        if not (variance > 0).all():
            raise ValueError(
                f"v: expected positive variances, got {variance.min()!r}. Pass exp(log_variance)."
            )
        return mean, variance


def principal_components(x: ArrayLike, latent_dim: int) -> LinearGaussianVAE:
    """Return the linear-Gaussian VAE of maximum likelihood, in closed form.

        W = U (L - sigma^2 I)^{1/2},  sigma^2 = the mean of the remaining eigenvalues

    U and L are the leading eigenvectors and eigenvalues of the covariance of the data.

    Args:
        x: data (N, D).
        latent_dim: Z, below D.

    Raises:
        ValueError: `latent_dim` is not below D, or the remaining directions have no variance.

    Reference: Tipping and Bishop, Probabilistic principal component analysis (1999).
    """
    data = check_array("x", x, None, None)
    if check_int("latent_dim", latent_dim) >= data.shape[1]:
        raise ValueError(
            f"latent_dim: expected less than the {data.shape[1]} dimensions of the data, got {latent_dim}. "
            "Pass a smaller number."
        )
    mean = data.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(data.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    variance = float(values[latent_dim:].mean())
    weight = vectors[:, :latent_dim] * np.sqrt(np.maximum(values[:latent_dim] - variance, 0))
    return LinearGaussianVAE(weight, mean, check_positive("sigma", np.sqrt(max(variance, 0.0))))
