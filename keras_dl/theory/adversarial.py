"""The GAN game: its optimal discriminator, its value, and the gradients of the generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from keras_dl.renamed import renamed
from keras_dl.theory.numeric_arguments import Array, check_array, check_positive
from keras_dl.theory.sigmoid import sigmoid
from keras_dl_export.arguments import check_int

Density = Callable[[Array], Array]


def optimal_discriminator(p: ArrayLike, q: ArrayLike) -> Array:
    """Return D*(x) = p(x) / (p(x) + q(x)), the pointwise maximum of E_p[log D] + E_q[log(1 - D)].

    Args:
        p: density of the data at some points, any shape.
        q: density of the generator at the same points.

    Returns:
        D* at these points; 1/2 where both densities are 0.

    Raises:
        ValueError: a density is negative.

    Reference: notes 4.2; Goodfellow et al., Generative adversarial nets (NeurIPS 2014), proposition 1.
    """
    real, fake = np.asarray(p, np.float64), np.asarray(q, np.float64)
    if (real < 0).any() or (fake < 0).any():
        raise ValueError(
            "p, q: expected densities of at least 0, got negative ones. Pass densities, not log densities."
        )
    both = np.asarray(real + fake)
    return np.asarray(np.divide(real, both, out=np.full(both.shape, 0.5), where=both > 0))


def game_value(p: ArrayLike, q: ArrayLike, d: ArrayLike, x: ArrayLike) -> float:
    """Return E_p[log D(x)] + E_q[log(1 - D(x))], computed with the trapezoidal rule.

    In the tails, where a density is almost 0, D rounds to 0 or 1. Logarithms are therefore limited to -708,
    the logarithm of the smallest normal double.

    Args:
        p: density of the data at the points `x`, (N,).
        q: density of the generator at these points, (N,).
        d: D at these points, (N,), in [0, 1].
        x: increasing points that cover both densities, (N,).
    """
    places = check_array("x", x, None)
    real, fake, probability = (
        check_array(name, each, len(places)) for name, each in (("p", p), ("q", q), ("d", d))
    )
    return _integral(_times_log(real, probability) + _times_log(fake, 1 - probability), places)


def jensen_shannon_divergence(p: ArrayLike, q: ArrayLike, x: ArrayLike) -> float:
    """Return JSD(p, q) = KL(p || m) / 2 + KL(q || m) / 2 in nats, m = (p + q) / 2; in [0, log 2].

    The value of the game at D* is 2 JSD(p, q) - log 4: a generator trained against D* minimizes the JSD.

    Args:
        p: a density at the points `x`, (N,).
        q: another density at these points, (N,).
        x: increasing points that cover both densities, (N,).
    """
    places = check_array("x", x, None)
    first, second = check_array("p", p, len(places)), check_array("q", q, len(places))
    middle = (first + second) / 2
    kl = [_times_log(each, each) - _times_log(each, middle) for each in (first, second)]
    return _integral((kl[0] + kl[1]) / 2, places)


def fit_discriminator(
    real: ArrayLike, fake: ArrayLike, *, degree: int = 2, iterations: int = 50
) -> Callable[[ArrayLike], Array]:
    """Return the maximizer D of mean log D(real) + mean log(1 - D(fake)), computed by Newton's method.

        D(x) = sigmoid(sum_k c_k x^k),  k = 0 .. degree

    For two Gaussians log p(x) / q(x) is a polynomial of degree 2, so that this family contains D*.

    Args:
        real: draws from p, (N,).
        fake: equally many draws from q, (N,).
        degree: degree of the polynomial.
        iterations: the maximum number of iterations.

    Returns:
        x (M,) -> D(x), (M,).

    Raises:
        ValueError: the samples differ in size, or a number is below 1.
    """
    a = check_array("real", real, None)
    b = check_array("fake", fake, len(a))
    check_int("degree", degree)
    check_int("iterations", iterations)
    both = np.concatenate([a, b])
    center, scale = both.mean(), both.std()

    def features(x: ArrayLike) -> Array:
        return np.vander((np.asarray(x, np.float64) - center) / scale, degree + 1, increasing=True)

    x, target = features(both), np.repeat([1.0, 0.0], len(a))
    c = np.zeros(degree + 1)
    for _ in range(iterations):
        d = sigmoid(x @ c)
        slope = x.T @ (target - d)
        # The ridge term only matters for samples that can be separated without error.
        curvature = (x.T * (d * (1 - d))) @ x + 1e-9 * len(x) * np.eye(degree + 1)
        step = np.linalg.solve(curvature, slope)
        c = c + step
        if np.abs(step).max() < 1e-10:
            break
    return lambda x: sigmoid(features(x) @ c)


class GeneratorGradients(NamedTuple):
    """|dL / dl| for both losses of the generator, l = logit of D(G(z)).

    Attributes:
        minimax: for log(1 - D(G(z))): D(G(z)). It vanishes where D rejects the sample with certainty.
        non_saturating: for -log D(G(z)): 1 - D(G(z)). It is largest there.
    """

    minimax: Array
    non_saturating: Array


def generator_gradients(probability: ArrayLike) -> GeneratorGradients:
    """Return the gradients that the discriminator passes to the generator, for D(G(z)) between 0 and 1.

    By the chain rule dL/dtheta is this number times dl/dtheta, which is the same for both losses.

    Args:
        probability: D(G(z)), any shape.

    Raises:
        ValueError: a probability is outside [0, 1].

    Reference: notes 4.2, where the loss of the generator is rewritten.
    """
    d = np.asarray(probability, np.float64)
    if not ((d >= 0) & (d <= 1)).all():
        raise ValueError("probability: expected numbers in [0, 1], got others. Pass D(G(z)), not its logits.")
    return GeneratorGradients(minimax=d.copy(), non_saturating=1 - d)


def ring_centers(modes: int = 8, radius: float = 1.0) -> Array:
    """Return centers of modes at equal distances on a circle, (modes, 2)."""
    angle = 2 * np.pi * np.arange(check_int("modes", modes)) / modes
    return check_positive("radius", radius) * np.column_stack([np.cos(angle), np.sin(angle)])


ring_centres = ring_centers  # the former name


@renamed(centers="centres")
def ring_of_gaussians(n: int, centers: ArrayLike, sigma: float, *, seed: int = 0) -> Array:
    """Draw n points from the uniform mixture of N(center, sigma^2 I), (n, 2)."""
    places = check_array("centers", centers, None, 2)
    rng = np.random.default_rng(seed)
    chosen = places[rng.integers(len(places), size=check_int("n", n))]
    return chosen + check_positive("sigma", sigma) * rng.standard_normal((n, 2))


class ModeCoverage(NamedTuple):
    """Coverage of the modes of a mixture by samples.

    Attributes:
        shares: the fraction of all samples that belongs to each mode, (modes,).
        covered: the number of modes with at least a tenth of the uniform fraction.
        quality: the fraction of samples that belongs to any mode.
    """

    shares: Array
    covered: int
    quality: float


@renamed(centers="centres")
def mode_coverage(samples: ArrayLike, centers: ArrayLike, sigma: float) -> ModeCoverage:
    """Return the coverage of modes by samples; a sample within 3 sigma of a center belongs to its mode.

    Args:
        samples: (N, D).
        centers: centers of the modes, (modes, D).
        sigma: standard deviation of the modes.

    Reference: Metz et al., Unrolled generative adversarial networks (ICLR 2017), the ring of 8 Gaussians.
    """
    places = check_array("centers", centers, None, None)
    points = check_array("samples", samples, None, places.shape[1])
    reach = 3 * check_positive("sigma", sigma)
    distance = np.linalg.norm(points[:, None] - places, axis=-1)
    nearest = distance.argmin(axis=1)
    belongs = distance.min(axis=1) <= reach
    shares = np.bincount(nearest[belongs], minlength=len(places)) / len(points)
    covered = int((shares >= 0.1 / len(places)).sum())
    return ModeCoverage(shares, covered, float(belongs.mean()))


def _times_log(weight: Array, value: Array) -> Array:
    """Return `weight` times log `value`, and 0 where the weight is 0."""
    return np.multiply(weight, np.log(np.maximum(value, np.finfo(np.float64).tiny)))


def _integral(values: Array, x: Array) -> float:
    return float(np.trapezoid(values, x))
