"""How far the error on a sample can be from the error itself (notes 2.2)."""

from __future__ import annotations

import math


def hoeffding_bound(n: int, epsilon: float) -> float:
    """P(|L - L^| > epsilon) <= 2 exp(-2 epsilon^2 n).

    L^ is the mean of n independent losses in [0, 1], and L its expectation. Above 1 the bound says nothing.

    Args:
        n: the sample's size.
        epsilon: the deviation.

    Returns:
        The right-hand side.

    Raises:
        ValueError: `n` is below 1, or `epsilon` is not positive.

    Reference: notes 2.2.2; Hoeffding, Probability inequalities for sums of bounded random variables (1963).
    """
    if not n >= 1:
        raise ValueError(f"n: expected at least one example, got {n!r}. Pass 1 or more.")
    _check_deviation(epsilon)
    return 2 * math.exp(-2 * epsilon**2 * n)


def hoeffding_sample_size(epsilon: float, delta: float) -> int:
    """The smallest n with 2 exp(-2 epsilon^2 n) <= delta, which is ceil(log(2 / delta) / (2 epsilon^2)).

    Args:
        epsilon: the deviation that is tolerated.
        delta: the probability of more than that.

    Returns:
        n.

    Raises:
        ValueError: `epsilon` is not positive, or `delta` is not between 0 and 1.
    """
    _check_deviation(epsilon)
    if not 0 < delta < 1:
        raise ValueError(
            f"delta: expected a probability between 0 and 1, got {delta!r}. Pass 0.05, for example."
        )
    return max(1, math.ceil(math.log(2 / delta) / (2 * epsilon**2)))


def _check_deviation(epsilon: float) -> None:
    if not epsilon > 0:
        raise ValueError(f"epsilon: expected a positive deviation, got {epsilon!r}. Pass 0.05, for example.")
