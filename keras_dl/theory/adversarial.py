"""The value of the GAN's game: the best discriminator, what it is worth, and what the generator learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from keras_dl.theory.arguments import Array, check_array, check_positive
from keras_dl.theory.sigmoid import sigmoid
from keras_dl_export.arguments import check_int

Density = Callable[[Array], Array]


def optimal_discriminator(p: ArrayLike, q: ArrayLike) -> Array:
    """D*(x) = p(x) / (p(x) + q(x)), the maximum of E_p[log D] + E_q[log(1 - D)] at every x by itself.

    Args:
        p: the data's density at some points, any shape.
        q: the generator's at the same points.

    Returns:
        D* there; 1/2 where both densities are 0.

    Raises:
        ValueError: a density is negative.

    Reference: notes 4.2; Goodfellow et al., Generative adversarial nets (NeurIPS 2014), proposition 1.
    """
    real, fake = np.asarray(p, np.float64), np.asarray(q, np.float64)
    if (real < 0).any() or (fake < 0).any():
        raise ValueError(
            "p, q: expected densities of at least 0, got negative ones. Pass densities, not logs."
        )
    both = np.asarray(real + fake)
    return np.asarray(np.divide(real, both, out=np.full(both.shape, 0.5), where=both > 0))


def game_value(p: ArrayLike, q: ArrayLike, d: ArrayLike, x: ArrayLike) -> float:
    """E_p[log D(x)] + E_q[log(1 - D(x))], by the trapezoidal rule.

    Far out, where a density is next to nothing, D rounds to 0 or 1: no logarithm is taken to be below -708,
    that of the smallest double.

    Args:
        p: the data's density at the points `x`, (N,).
        q: the generator's there, (N,).
        d: D there, (N,), in [0, 1].
        x: increasing points that cover both densities, (N,).
    """
    places = check_array("x", x, None)
    real, fake, probability = (
        check_array(name, each, len(places)) for name, each in (("p", p), ("q", q), ("d", d))
    )
    return _integral(_times_log(real, probability) + _times_log(fake, 1 - probability), places)


def jensen_shannon_divergence(p: ArrayLike, q: ArrayLike, x: ArrayLike) -> float:
    """JSD(p, q) = KL(p || m) / 2 + KL(q || m) / 2 in nats, m = (p + q) / 2; in [0, log 2].

    The game's value at D* is 2 JSD(p, q) - log 4: the generator that plays against it minimises the JSD.

    Args:
        p: a density at the points `x`, (N,).
        q: another, (N,).
        x: increasing points that cover both, (N,).
    """
    places = check_array("x", x, None)
    first, second = check_array("p", p, len(places)), check_array("q", q, len(places))
    middle = (first + second) / 2
    kl = [_times_log(each, each) - _times_log(each, middle) for each in (first, second)]
    return _integral((kl[0] + kl[1]) / 2, places)


def fit_discriminator(
    real: ArrayLike, fake: ArrayLike, *, degree: int = 2, iterations: int = 50
) -> Callable[[ArrayLike], Array]:
    """The discriminator that maximises mean log D(real) + mean log(1 - D(fake)), found by Newton's method.

        D(x) = sigmoid(sum_k c_k x^k),  k = 0 .. degree

    Between two Gaussians log p(x) / q(x) is a polynomial of degree 2, so that D* lies within reach.

    Args:
        real: draws of p, (N,).
        fake: as many draws of q, (N,).
        degree: of the polynomial.
        iterations: of Newton's method, at most.

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
    centre, scale = both.mean(), both.std()

    def features(x: ArrayLike) -> Array:
        return np.vander((np.asarray(x, np.float64) - centre) / scale, degree + 1, increasing=True)

    x, target = features(both), np.repeat([1.0, 0.0], len(a))
    c = np.zeros(degree + 1)
    for _ in range(iterations):
        d = sigmoid(x @ c)
        slope = x.T @ (target - d)
        # The ridge only guards a sample that can be split without error.
        curvature = (x.T * (d * (1 - d))) @ x + 1e-9 * len(x) * np.eye(degree + 1)
        step = np.linalg.solve(curvature, slope)
        c = c + step
        if np.abs(step).max() < 1e-10:
            break
    return lambda x: sigmoid(features(x) @ c)


class GeneratorGradients(NamedTuple):
    """|dL / dl| for both losses of the generator, l = logit of D(G(z)).

    Attributes:
        minimax: of log(1 - D(G(z))): D(G(z)). It dies where the discriminator is sure.
        non_saturating: of -log D(G(z)): 1 - D(G(z)). It is largest there.
    """

    minimax: Array
    non_saturating: Array


def generator_gradients(probability: ArrayLike) -> GeneratorGradients:
    """What the generator hears from the discriminator, for D(G(z)) between 0 and 1.

    By the chain rule dL/dtheta is this number times dl/dtheta, which both losses share.

    Args:
        probability: D(G(z)), any shape.

    Raises:
        ValueError: one is outside [0, 1].

    Reference: notes 4.2, where the generator's loss is rewritten.
    """
    d = np.asarray(probability, np.float64)
    if not ((d >= 0) & (d <= 1)).all():
        raise ValueError("probability: expected numbers in [0, 1], got others. Pass D(G(z)), not its logits.")
    return GeneratorGradients(minimax=d.copy(), non_saturating=1 - d)


def ring_centres(modes: int = 8, radius: float = 1.0) -> Array:
    """Centres of the modes at equal distances on a circle, (modes, 2)."""
    angle = 2 * np.pi * np.arange(check_int("modes", modes)) / modes
    return check_positive("radius", radius) * np.column_stack([np.cos(angle), np.sin(angle)])


def ring_of_gaussians(n: int, centres: ArrayLike, sigma: float, *, seed: int = 0) -> Array:
    """Draw n points of the even mixture of N(centre, sigma^2 I), (n, 2)."""
    places = check_array("centres", centres, None, 2)
    rng = np.random.default_rng(seed)
    chosen = places[rng.integers(len(places), size=check_int("n", n))]
    return chosen + check_positive("sigma", sigma) * rng.standard_normal((n, 2))


class ModeCoverage(NamedTuple):
    """What a generator gives of a mixture.

    Attributes:
        shares: of all samples, those that belong to each mode, (modes,).
        covered: modes with at least a tenth of their even share.
        quality: share of samples that belong to any mode.
    """

    shares: Array
    covered: int
    quality: float


def mode_coverage(samples: ArrayLike, centres: ArrayLike, sigma: float) -> ModeCoverage:
    """Which modes of a mixture the samples show; a sample within 3 sigma of a centre belongs to it.

    Args:
        samples: (N, D).
        centres: of the modes, (modes, D).
        sigma: the modes' standard deviation.

    Reference: Metz et al., Unrolled generative adversarial networks (ICLR 2017), the ring of 8 Gaussians.
    """
    places = check_array("centres", centres, None, None)
    points = check_array("samples", samples, None, places.shape[1])
    reach = 3 * check_positive("sigma", sigma)
    distance = np.linalg.norm(points[:, None] - places, axis=-1)
    nearest = distance.argmin(axis=1)
    belongs = distance.min(axis=1) <= reach
    shares = np.bincount(nearest[belongs], minlength=len(places)) / len(points)
    covered = int((shares >= 0.1 / len(places)).sum())
    return ModeCoverage(shares, covered, float(belongs.mean()))


def _times_log(weight: Array, value: Array) -> Array:
    """`weight` times log `value`, 0 where the weight is."""
    return np.multiply(weight, np.log(np.maximum(value, np.finfo(np.float64).tiny)))


def _integral(values: Array, x: Array) -> float:
    return float(np.trapezoid(values, x))
