"""Generalization (notes 2): the three terms of the error, and bounds on the error of a sample."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl.theory.numeric_arguments import Array, check_array, check_positive
from keras_dl_export.arguments import check_int


def hoeffding_bound(n: int, epsilon: float) -> float:
    """Return 2 exp(-2 epsilon^2 n), the upper bound of P(|L - L^| > epsilon).

    L^ is the mean of n independent losses in [0, 1], and L its expectation. A bound above 1 is vacuous.

    Args:
        n: the size of the sample.
        epsilon: the deviation.

    Raises:
        ValueError: `n` is below 1, or `epsilon` is not positive.

    Reference: notes 2.2.2; Hoeffding, Probability inequalities for sums of bounded random variables (1963).
    """
    if not n >= 1:
        raise ValueError(f"n: expected at least one example, got {n!r}. Pass 1 or more.")
    check_positive("epsilon", epsilon, "deviation")
    return 2 * math.exp(-2 * epsilon**2 * n)


def hoeffding_sample_size(epsilon: float, delta: float) -> int:
    """Return ceil(log(2 / delta) / (2 epsilon^2)), the smallest n with 2 exp(-2 epsilon^2 n) <= delta.

    Args:
        epsilon: the tolerated deviation.
        delta: the probability of a larger deviation.

    Raises:
        ValueError: `epsilon` is not positive, or `delta` is not between 0 and 1.
    """
    check_positive("epsilon", epsilon, "deviation")
    _check_probability("delta", delta)
    return max(1, math.ceil(math.log(2 / delta) / (2 * epsilon**2)))


def hoeffding_deviation(n: int, delta: float) -> float:
    """Return sqrt(log(2 / delta) / (2 n)), the epsilon at which the bound is delta.

    With probability at least 1 - delta, L is within epsilon of L^.

    Args:
        n: the size of the sample.
        delta: the probability of a larger deviation.

    Raises:
        ValueError: `n` is below 1, or `delta` is not between 0 and 1.
    """
    check_int("n", n)
    _check_probability("delta", delta)
    return math.sqrt(math.log(2 / delta) / (2 * n))


def simulated_tail(
    n: int, epsilons: ArrayLike, *, risk: float = 0.5, trials: int = 10_000, seed: int = 0
) -> Array:
    """Return the simulated frequency of |L - L^| > epsilon, for a loss that is 1 with probability L, else 0.

    Args:
        n: the size of a sample.
        epsilons: deviations (E,).
        risk: L.
        trials: the number of samples.
        seed: seed of the draws.

    Returns:
        Frequencies (E,).

    Raises:
        ValueError: an argument is out of range.
    """
    deviations = check_array("epsilons", epsilons, None)
    for epsilon in deviations:
        check_positive("epsilon", float(epsilon), "deviation")
    _check_probability("risk", risk)
    rng = np.random.default_rng(seed)
    errors = rng.binomial(check_int("n", n), risk, size=check_int("trials", trials))
    # The rounding of k / n must not count a deviation of exactly epsilon as larger.
    off = np.abs(errors / n - risk)
    return np.asarray((off[:, None] > deviations + 1e-12).mean(axis=0))


class ErrorTerms(NamedTuple):
    """The terms of the risk E[(h(x) - y)^2] of a trained predictor h.

    Attributes:
        bayes: the variance of the noise, the smallest possible risk.
        approximation: `R(h*) - bayes`, `h*` the best of the family.
        estimation: `R(h^) - R(h*)`, `h^` the best of the family on the sample.
        optimization: `R(h) - R(h^)`, `h` the result of the optimizer. Negative if early stopping reduced the
            risk.
        risk: R(h), integrated independently; equal to the sum of the other four.
    """

    bayes: float
    approximation: float
    estimation: float
    optimization: float
    risk: float

    @property
    def optimisation(self) -> float:
        """The former name of `optimization`."""
        return self.optimization


def decompose_error(
    degree: int,
    n: int,
    epochs: int,
    *,
    function: Callable[[Array], Any] = np.exp,
    noise: float = 0.5,
    learning_rate: float = 0.5,
    seed: int = 0,
) -> ErrorTerms:
    """Return approximation, estimation and optimization error of a regression with known Bayes risk.

        y = f(x) + noise e,  x ~ U(-1, 1),  e ~ N(0, 1);  h_c(x) = sum_k c_k P_k(x),  k = 0 .. degree

    The Legendre polynomials P_k are scaled to E[P_j P_k] = [j = k], so that distances between predictors are
    distances between their coefficients:

        c* = E[f P]                             best of the family:  approximation = E[(h_c* - f)^2]
        c^ = the normal equations' solution     best on the sample:  estimation = |c^ - c*|^2
        c  = gradient descent from 0            found:  optimization = (c - c^).(c + c^ - 2 c*)

    Args:
        degree: degree of the polynomials, the size of the family.
        n: the size of the sample, above `degree`.
        epochs: steps of gradient descent on the mean squared error of the sample, 0 or more.
        function: f, a function of an array.
        noise: standard deviation of y given x.
        learning_rate: rate of gradient descent, as a fraction of 2 / (the largest curvature), from which on
            it diverges.
        seed: seed of the sample.

    Raises:
        ValueError: an argument is out of range.

    Reference: notes 2; Bottou and Bousquet, The tradeoffs of large scale learning (NeurIPS 2007).
    """
    check_int("degree", degree, 0)
    check_int("n", n, degree + 1)
    check_int("epochs", epochs, 0)
    check_positive("noise", noise, "standard deviation")
    if not 0 < learning_rate < 1:
        raise ValueError(
            f"learning_rate: expected a fraction between 0 and 1, got {learning_rate!r}. Pass 0.5, for "
            "example."
        )
    places, weights = _quadrature()
    basis, truth = _legendre(places, degree), np.asarray(function(places), np.float64)
    best = basis.T @ (weights * truth)
    approximation = float(weights @ (basis @ best - truth) ** 2)

    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n)
    y = function(x) + noise * rng.standard_normal(n)
    features = _legendre(x, degree)
    gram, target = features.T @ features / n, features.T @ y / n
    on_sample = np.linalg.lstsq(features, y, rcond=None)[0]
    rate = learning_rate * 2 / np.linalg.eigvalsh(gram)[-1]
    found = np.zeros(degree + 1)
    for _ in range(epochs):
        found = found - rate * (gram @ found - target)
    return ErrorTerms(
        bayes=noise**2,
        approximation=approximation,
        estimation=float(((on_sample - best) ** 2).sum()),
        optimization=float((found - on_sample) @ (found + on_sample - 2 * best)),
        risk=float(noise**2 + weights @ (basis @ found - truth) ** 2),
    )


Fit = Callable[[NDArray[Any], NDArray[Any]], Callable[[NDArray[Any]], Any]]


def learning_curves(
    fits: Mapping[str, Fit],
    train: tuple[ArrayLike, ArrayLike],
    test: tuple[ArrayLike, ArrayLike],
    sizes: Sequence[int],
    *,
    repeats: int = 5,
    seed: int = 0,
) -> dict[str, Array]:
    """Return test errors by number of examples; all classifiers are trained on the same subsets.

    Args:
        fits: name -> a function of (features (n, D), labels (n,)) that returns a function from features to
            labels.
        train: features (N, D) and labels (N,), from which the subsets are drawn; each contains all classes.
        test: features and labels of other examples.
        sizes: the numbers of examples n, at most N.
        repeats: the number of subsets of each size.
        seed: seed of the subsets.

    Returns:
        name -> test errors (len(sizes), repeats).

    Raises:
        ValueError: a size is below the number of classes or above N.

    Reference: notes 2.2.1; Ng and Jordan, On discriminative vs. generative classifiers (NeurIPS 2001).
    """
    x, y = np.asarray(train[0]), np.asarray(train[1])
    test_x, test_y = np.asarray(test[0]), np.asarray(test[1])
    classes = np.unique(y)
    for size in sizes:
        if not len(classes) <= size <= len(x):
            raise ValueError(
                f"sizes: expected sizes from {len(classes)}, one example per class, to {len(x)}, got {size}. "
                "Omit it."
            )
    rng = np.random.default_rng(seed)
    curves = {name: np.zeros((len(sizes), check_int("repeats", repeats))) for name in fits}
    for row, size in enumerate(sizes):
        for column in range(repeats):
            order = rng.permutation(len(x))
            one_each = [int(order[y[order] == each][0]) for each in classes]
            rest = order[~np.isin(order, one_each)]
            chosen = np.concatenate([one_each, rest[: size - len(classes)]]).astype(int)
            for name, fit in fits.items():
                wrong = np.asarray(fit(x[chosen], y[chosen])(test_x)) != test_y
                curves[name][row, column] = wrong.mean()
    return curves


@functools.cache
def _quadrature() -> tuple[Array, Array]:
    """Return quadrature points and weights for U(-1, 1), exact up to degree 199."""
    places, weights = np.polynomial.legendre.leggauss(100)
    return places, weights / 2


def _legendre(x: Array, degree: int) -> Array:
    """Return P_0 .. P_degree at x (N,), (N, degree + 1), orthonormal under U(-1, 1)."""
    values = np.polynomial.legendre.legvander(x, degree) * np.sqrt(2 * np.arange(degree + 1) + 1)
    return np.asarray(values, np.float64)


def _check_probability(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(
            f"{name}: expected a probability between 0 and 1, got {value!r}. Pass 0.05, for example."
        )
