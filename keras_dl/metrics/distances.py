"""Distances between two sets of feature vectors, real and generated, as pure functions of arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl.renamed import renamed

Features = NDArray[np.float64]

_ROWS = 1000  # of a matrix of pairwise values, computed at a time


class PrecisionRecall(NamedTuple):
    """Precision (generated samples that look real) and recall (real variety that is generated)."""

    precision: float
    recall: float


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Return the squared Frechet distance between Gaussians fitted to two sets of features.

        |mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^{1/2})

    Args:
        x: features (N, D), N >= 2.
        y: features (M, D), M >= 2.

    Raises:
        ValueError: the shapes do not match, or a value is not finite.

    Reference: Dowson and Landau (1982); Heusel et al., GANs trained by a two time-scale update rule (2017).
    """
    x, y = _pair(x, y, at_least=2)
    mean_difference = x.mean(axis=0) - y.mean(axis=0)
    covariance_x, covariance_y = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (x, y))
    # tr (S_x S_y)^{1/2} = tr (R S_y R)^{1/2} with R = S_x^{1/2}: symmetric, so its roots are real even if
    # a covariance is singular.
    values, vectors = np.linalg.eigh(covariance_x)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ covariance_y @ root).clip(0)).sum()
    distance = mean_difference @ mean_difference + np.trace(covariance_x + covariance_y) - 2 * overlap
    return float(max(distance, 0.0))


def kernel_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Return the unbiased squared maximum mean discrepancy with the cubic kernel k(a, b) = (a.b / D + 1)^3.

        mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

    Unlike that of the Frechet distance, its expectation does not depend on the numbers of samples. It is 0
    for two samples of the same distribution, so single values may be negative.

    Args:
        x: features (N, D), N >= 2.
        y: features (M, D), M >= 2.

    Raises:
        ValueError: the shapes do not match, or a value is not finite.

    Reference: Binkowski et al., Demystifying MMD GANs (ICLR 2018).
    """
    x, y = _pair(x, y, at_least=2)
    between = sum(float(_kernel(rows, y).sum()) for rows in _blocks(x)) / (len(x) * len(y))
    return _mean_kernel(x) + _mean_kernel(y) - 2 * between


@renamed(neighbors="neighbours")
def precision_recall(real: ArrayLike, generated: ArrayLike, *, neighbors: int = 3) -> PrecisionRecall:
    """Return precision and recall of generated samples, based on k-nearest-neighbor manifolds.

    The manifold of a set is the union of balls around its samples, with radii equal to the distance to the
    k-th nearest neighbor in the set. Precision is the fraction of generated samples inside the real manifold;
    recall is the fraction of real samples inside the generated one. An outlier among the real samples has a
    large ball, which may contain unrealistic samples: report precision together with the Frechet distance.

    Args:
        real: features (N, D), N > k.
        generated: features (M, D), M > k. Both metrics depend on N and M: compare at equal numbers.
        neighbors: k.

    Raises:
        ValueError: the shapes do not match, or a value is not finite.

    Reference: Kynkaanniemi et al., Improved precision and recall metric for assessing generative models
    (2019).
    """
    real, generated = _pair(real, generated, at_least=neighbors + 1, names=("real", "generated"))
    return PrecisionRecall(
        precision=_fraction_inside(generated, real, neighbors),
        recall=_fraction_inside(real, generated, neighbors),
    )


def _kernel(a: Features, b: Features) -> Features:
    kernel: Features = (a @ b.T / a.shape[1] + 1) ** 3
    return kernel


def _mean_kernel(x: Features) -> float:
    """Return the mean kernel over the pairs of different samples."""
    diagonal = ((x**2).sum(axis=1) / x.shape[1] + 1) ** 3
    total = sum(_kernel(rows, x).sum() for rows in _blocks(x))
    return float((total - diagonal.sum()) / (len(x) * (len(x) - 1)))


def _fraction_inside(samples: Features, manifold: Features, neighbors: int) -> float:
    radii = np.concatenate(
        [
            np.partition(_squared_distances(rows, manifold), neighbors, axis=1)[:, neighbors]
            for rows in _blocks(manifold)
        ]
    )  # position 0 is the sample itself
    inside = [(_squared_distances(rows, manifold) <= radii).any(axis=1) for rows in _blocks(samples)]
    return float(np.concatenate(inside).mean())


def _squared_distances(a: Features, b: Features) -> Features:
    distances: Features = (a**2).sum(axis=1)[:, np.newaxis] + (b**2).sum(axis=1) - 2 * a @ b.T
    return distances.clip(0)


def _blocks(x: Features) -> Iterator[Features]:
    return (x[start : start + _ROWS] for start in range(0, len(x), _ROWS))


def _pair(
    x: ArrayLike, y: ArrayLike, *, at_least: int, names: tuple[str, str] = ("x", "y")
) -> tuple[Features, Features]:
    arrays = np.asarray(x, np.float64), np.asarray(y, np.float64)
    for name, array in zip(names, arrays, strict=True):
        if array.ndim != 2 or len(array) < at_least:
            raise ValueError(
                f"{name}: expected features (N, D) of at least {at_least} samples, got shape {array.shape}. "
                "Pass one row per sample, and more samples if there are too few."
            )
        if not np.isfinite(array).all():
            raise ValueError(
                f"{name}: expected finite features, got NaN or infinity. Check the samples for invalid "
                "values."
            )
    if arrays[0].shape[1] != arrays[1].shape[1]:
        raise ValueError(
            f"{names[0]}, {names[1]}: expected features of the same size D, got {arrays[0].shape[1]} and "
            f"{arrays[1].shape[1]}. Compute both with the same network."
        )
    return arrays
