"""Likelihood of images under a latent-variable model, log p(x), and use of its latents. All in nats."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from keras_dl_export.arguments import check_int

_LOG_2_PI = math.log(2 * math.pi)
_IMAGES = 100  # images per step
_DECODINGS = 2000  # decodings per step; more would need memory without saving time


class LatentVariableModel(Protocol):
    """A model p(x | z) N(z; 0, I) whose posterior q(z | x) is a diagonal Gaussian, such as `models.VAE`."""

    def encode(self, image: Any) -> tuple[Any, Any]:
        """Return mean and log variance of q(z | x), (B, Z) each, for images (B, H, W, C)."""

    def log_likelihood(self, image: Any, z: Any) -> Any:
        """Return log p(x | z), (B, K), for images (B, H, W, C) and latents (B, K, Z)."""


def importance_sampled_nll(
    model: LatentVariableModel, images: ArrayLike, num_samples: int = 5000, *, seed: int = 0
) -> NDArray[np.float64]:
    """Return -log p(x) of each image, estimated from K draws of the posterior.

        -log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x),  z_k ~ q(z | x)

    In expectation this is an upper bound of -log p(x), which becomes tighter as K grows; K = 1 gives the
    negative ELBO. Images and draws are decoded in batches in one graph. Equal seeds give equal draws.

    Args:
        model: a model with `encode` and `log_likelihood`.
        images: x, (N, H, W, C), as in training; binarize gray images once, with `binarized`.
        num_samples: K.
        seed: seed of the draws.

    Returns:
        Nats, (N,).

    Raises:
        ValueError: there are no images, or K is not a positive integer.

    Reference: Burda, Grosse and Salakhutdinov, Importance weighted autoencoders (ICLR 2016), equation 8.
    """
    images = np.asarray(images, np.float32)
    if images.ndim < 2 or not len(images):
        raise ValueError(
            f"images: expected a batch (N, H, W, C) of at least one image, got shape {images.shape}. "
            "For a single image pass image[np.newaxis]."
        )
    num_samples = check_int("num_samples", num_samples)
    rows = min(_IMAGES, len(images))
    draws = min(num_samples, max(1, _DECODINGS // rows))  # of each image at a time

    @tf.function(input_signature=[tf.TensorSpec((None, *images.shape[1:])), tf.TensorSpec((), tf.int64)])
    def log_mean_weight(x: Any, first: Any) -> Any:
        mean, log_variance = (tf.cast(part, tf.float32)[:, None] for part in model.encode(x))
        latent_dim = mean.shape[-1]
        total = tf.fill(tf.shape(x)[:1], -math.inf)
        for start in tf.range(0, num_samples, draws):
            shape = (
                rows,
                draws,
                latent_dim,
            )  # that of a full batch, so that a smaller last batch draws the same numbers
            seeds = tf.random.fold_in(
                tf.stack([tf.constant(seed, tf.int64), first]), tf.cast(start, tf.int64)
            )
            epsilon = tf.random.stateless_normal(shape, seeds)[: tf.shape(x)[0]]
            z = mean + tf.exp(0.5 * log_variance) * epsilon
            log_prior = -0.5 * tf.reduce_sum(_LOG_2_PI + tf.square(z), axis=-1)
            log_posterior = -0.5 * tf.reduce_sum(_LOG_2_PI + log_variance + tf.square(epsilon), axis=-1)
            log_weight = tf.cast(model.log_likelihood(x, z), tf.float32) + log_prior - log_posterior
            surplus = tf.range(start, start + draws) >= num_samples
            log_weight = tf.where(surplus, -math.inf, log_weight)
            total = _log_add(total, tf.reduce_logsumexp(log_weight, axis=1))
        return total - math.log(num_samples)

    batches = [
        log_mean_weight(images[start : start + rows], tf.constant(start, tf.int64)).numpy()
        for start in range(0, len(images), rows)
    ]
    return -np.concatenate(batches).astype(np.float64)


def _log_add(a: Any, b: Any) -> Any:
    return tf.reduce_logsumexp(tf.stack([a, b]), axis=0)


def binarized(images: ArrayLike, *, seed: int = 0) -> NDArray[np.float32]:
    """Return images drawn once from Bernoulli(intensity), for comparable log p(x) of binary images.

    Args:
        images: intensities in [0, 1], any shape.
        seed: seed of the draws; report it with the result.

    Returns:
        Zeros and ones, in the shape of the images.

    Raises:
        ValueError: an intensity is outside [0, 1].
    """
    images = np.asarray(images)
    if not np.all((images >= 0) & (images <= 1)):  # also true for NaN
        raise ValueError(
            f"images: expected intensities from 0 to 1, got {images.min()} to {images.max()}. Divide raw "
            "8-bit images by 255."
        )
    return (np.random.default_rng(seed).random(images.shape) < images).astype(np.float32)


def active_units(mean: ArrayLike, *, threshold: float = 0.01) -> NDArray[np.bool_]:
    """Return which latents the model uses: those whose posterior mean varies across images.

        unit u is active if Var_x(E_q[z_u | x]) > threshold

    Args:
        mean: posterior means of many images, (N, Z).
        threshold: the smallest variance of an active unit.

    Returns:
        (Z,) booleans; their sum is the number of active units.

    Reference: Burda, Grosse and Salakhutdinov (ICLR 2016), section 5.2.
    """
    return np.asarray(np.var(np.asarray(mean, np.float64), axis=0) > threshold)


def kl_per_unit(mean: ArrayLike, log_variance: ArrayLike) -> NDArray[np.float64]:
    """Return the information of each latent about the image: E_x KL[q(z_u | x) || N(0, 1)].

    Args:
        mean: posterior means, (N, Z).
        log_variance: posterior log variances, (N, Z).

    Returns:
        Nats, (Z,); their sum is the KL term of the ELBO.
    """
    mean, log_variance = np.asarray(mean, np.float64), np.asarray(log_variance, np.float64)
    kl = 0.5 * (np.square(mean) + np.exp(log_variance) - 1 - log_variance)
    return np.asarray(kl.mean(axis=0))
