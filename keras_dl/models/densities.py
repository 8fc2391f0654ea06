"""Log densities, and a Kullback-Leibler divergence in closed form, in nats."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

_LOG_2_PI = math.log(2 * math.pi)


def bernoulli_log_density(x: Any, logits: Any) -> Any:
    """Return log Ber(x; sigmoid(a)) = x a - log(1 + e^a), elementwise.

    Args:
        x: values in [0, 1]; for gray pixels, this is the negative cross-entropy.
        logits: a.

    Returns:
        Nats, in the broadcast shape of x and logits.
    """
    return x * logits - ops.softplus(logits)


def gaussian_log_density(x: Any, mean: Any, log_variance: Any) -> Any:
    """Return log N(x; mu, sigma^2) = -(log 2 pi + log sigma^2 + (x - mu)^2 / sigma^2) / 2, elementwise.

    Args:
        x: values.
        mean: mu.
        log_variance: log sigma^2.

    Returns:
        Nats, in the broadcast shape of the arguments.
    """
    return -0.5 * (_LOG_2_PI + log_variance + ops.square(x - mean) * ops.exp(-log_variance))


def kl_to_standard_normal(mean: Any, log_variance: Any) -> Any:
    """Return KL[N(mu, sigma^2) || N(0, 1)] = (mu^2 + sigma^2 - 1 - log sigma^2) / 2, elementwise.

    Args:
        mean: mu.
        log_variance: log sigma^2.

    Returns:
        Nats, in the shape of the arguments; the divergence of the joint Gaussian is the sum over the latents.

    Reference: Kingma and Welling, Auto-encoding variational Bayes (ICLR 2014), appendix B.
    """
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)
