"""Latency: the timed calls, the end of the timing, and the values."""

import time

import numpy as np
import pytest

from keras_dl_export.measure.latency import measure_latency


class Sleeper:
    """A function whose calls take a known time."""

    def __init__(self, *milliseconds: float) -> None:
        self.milliseconds = list(milliseconds)
        self.calls = 0

    def __call__(self, inputs: object) -> None:
        time.sleep(1e-3 * self.milliseconds[min(self.calls, len(self.milliseconds) - 1)])
        self.calls += 1


def test_the_first_calls_are_not_timed() -> None:
    latency = measure_latency(Sleeper(80, 2), {"x": np.zeros(1)}, calls=10, warmup=1)
    assert 2 <= latency.p50_ms < 80
    assert latency.p50_ms <= latency.p95_ms


def test_timing_stops_at_the_limit() -> None:
    sleeper = Sleeper(30)
    measure_latency(sleeper, {"x": np.zeros(1)}, calls=1000, warmup=2, seconds=0.2)
    assert 2 <= sleeper.calls <= 10  # 0.2 s hold six calls of 30 ms, beside the first


def test_a_slow_call_is_timed_at_least_once() -> None:
    sleeper = Sleeper(0, 20)
    assert measure_latency(sleeper, {"x": np.zeros(1)}, seconds=0.001).p50_ms >= 20
    assert sleeper.calls <= 3


def test_a_negative_number_of_calls_is_refused() -> None:
    with pytest.raises(ValueError, match="calls: expected at least 1, got -1"):
        measure_latency(Sleeper(0), {}, calls=-1)
