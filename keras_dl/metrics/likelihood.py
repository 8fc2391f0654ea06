"""How well a latent-variable model explains images: log p(x), and which latents it uses. All in nats."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from keras_dl_export.arguments import check_int

_LOG_2_PI = math.log(2 * math.pi)
_IMAGES = 100  # images worked on together
_DECODINGS = 2000  # decodings worked on together; more would need memory and save no time


class LatentVariableModel(Protocol):
    """p(x | z) and N(z; 0, I) with a posterior q(z | x) that is a diagonal Gaussian, as in `models.VAE`."""

    def encode(self, image: Any) -> tuple[Any, Any]:
        """Images (B, H, W, C) -> mean and log variance of q(z | x), (B, Z) each."""

    def log_likelihood(self, image: Any, z: Any) -> Any:
        """Images (B, H, W, C) and latents (B, K, Z) -> log p(x | z), (B, K)."""


def importance_sampled_nll(
    model: LatentVariableModel, images: ArrayLike, num_samples: int = 5000, *, seed: int = 0
) -> NDArray[np.float64]:
    """-log p(x) of each image, estimated from K draws of the posterior.

        -log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x),  z_k ~ q(z | x)

    In expectation this bounds -log p(x) from above, ever more tightly as K grows; K = 1 gives the negative
    ELBO. Images and draws are decoded thousands at a time, in one graph. The same seed gives the same draws.

    Args:
        model: anything with `encode` and `log_likelihood`.
        images: x, (N, H, W, C), as the model was trained on; binarise gray images once, with `binarized`.
        num_samples: K.
        seed: of the draws.

    Returns:
        Nats, (N,).

    Raises:
        ValueError: no images, or K is no positive whole number.

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
            shape = (rows, draws, latent_dim)  # of full batches, so that a last, smaller one draws alike
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
    """Images drawn once from Bernoulli(intensity), so that log p(x) of binary images can be compared.

    Args:
        images: intensities in [0, 1], any shape.
        seed: state it beside the figure.

    Returns:
        Zeros and ones, of the images' shape.

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
    """Which latents the model uses: those whose posterior mean varies from image to image.

        unit u is active where Var_x(E_q[z_u | x]) > threshold

    Args:
        mean: posterior means of many images, (N, Z).
        threshold: of the variance.

    Returns:
        (Z,) booleans; their sum is the number of active units.

    Reference: Burda, Grosse and Salakhutdinov (ICLR 2016), section 5.2.
    """
    return np.asarray(np.var(np.asarray(mean, np.float64), axis=0) > threshold)


def kl_per_unit(mean: ArrayLike, log_variance: ArrayLike) -> NDArray[np.float64]:
    """What each latent tells of the image: E_x KL[q(z_u | x) || N(0, 1)].

    Args:
        mean: posterior means, (N, Z).
        log_variance: posterior log variances, (N, Z).

    Returns:
        Nats, (Z,); their sum is the KL term of the ELBO.
    """
    mean, log_variance = np.asarray(mean, np.float64), np.asarray(log_variance, np.float64)
    kl = 0.5 * (np.square(mean) + np.exp(log_variance) - 1 - log_variance)
    return np.asarray(kl.mean(axis=0))
