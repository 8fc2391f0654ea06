"""Log densities in nats, and the Kullback-Leibler divergence that has a closed form."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

_LOG_2_PI = math.log(2 * math.pi)


def bernoulli_log_density(x: Any, logits: Any) -> Any:
    """Log Ber(x; sigmoid(a)) = x a - log(1 + e^a), elementwise.

    Args:
        x: values in [0, 1]; between the ends this is the negative cross-entropy, as is usual for gray pixels.
        logits: a.

    Returns:
        Nats, shaped as x and logits broadcast.
    """
    return x * logits - ops.softplus(logits)


def gaussian_log_density(x: Any, mean: Any, log_variance: Any) -> Any:
    """Log N(x; mu, sigma^2) = -(log 2 pi + log sigma^2 + (x - mu)^2 / sigma^2) / 2, elementwise.

    Args:
        x: values.
        mean: mu.
        log_variance: log sigma^2.

    Returns:
        Nats, shaped as the arguments broadcast.
    """
    return -0.5 * (_LOG_2_PI + log_variance + ops.square(x - mean) * ops.exp(-log_variance))


def kl_to_standard_normal(mean: Any, log_variance: Any) -> Any:
    """KL[N(mu, sigma^2) || N(0, 1)] = (mu^2 + sigma^2 - 1 - log sigma^2) / 2, elementwise.

    Args:
        mean: mu.
        log_variance: log sigma^2.

    Returns:
        Nats, shaped as the arguments; sum over the latents for the divergence of the whole Gaussian.

    Reference: Kingma and Welling, Auto-encoding variational Bayes (ICLR 2014), appendix B.
    """
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)
