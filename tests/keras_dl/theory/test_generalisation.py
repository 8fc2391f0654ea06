"""Hoeffding's inequality against the exact binomial tail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from keras_dl.theory import hoeffding_bound, hoeffding_sample_size


@given(n=st.integers(1, 400), p=st.floats(0.01, 0.99), epsilon=st.floats(0.01, 0.9))
def test_the_exact_tail_of_a_zero_one_loss_is_never_above_the_bound(n: int, p: float, epsilon: float) -> None:
    errors = np.arange(n + 1)
    # The rounding of k / n may only ever make the tail smaller.
    beyond = np.abs(errors / n - p) > epsilon + 1e-12
    assert stats.binom.pmf(errors, n, p)[beyond].sum() <= hoeffding_bound(n, epsilon) + 1e-12


def test_the_bound_by_hand() -> None:
    assert hoeffding_bound(100, 0.1) == pytest.approx(2 * np.exp(-2))


@given(epsilon=st.floats(0.005, 0.9), delta=st.floats(1e-6, 0.999))
def test_the_sample_size_is_the_smallest_that_reaches_delta(epsilon: float, delta: float) -> None:
    n = hoeffding_sample_size(epsilon, delta)
    assert hoeffding_bound(n, epsilon) <= delta * (1 + 1e-9)
    assert n == 1 or hoeffding_bound(n - 1, epsilon) > delta * (1 - 1e-9)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: hoeffding_bound(0, 0.1), "n: expected at least one example, got 0"),
        (lambda: hoeffding_bound(10, 0.0), "epsilon: expected a positive deviation, got 0.0"),
        (lambda: hoeffding_bound(10, float("nan")), "epsilon: expected a positive deviation, got nan"),
        (lambda: hoeffding_sample_size(-1.0, 0.1), "epsilon: expected a positive deviation, got -1.0"),
        (lambda: hoeffding_sample_size(0.1, 0.0), "delta: expected a probability between 0 and 1, got 0.0"),
        (lambda: hoeffding_sample_size(0.1, 1.0), "delta: expected a probability between 0 and 1, got 1.0"),
    ],
)
def test_arguments_out_of_range_are_named(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
