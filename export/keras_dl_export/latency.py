"""How long one call of a model takes, whatever runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one call: the median, and what 95 of 100 calls stay below."""

    p50_ms: float
    p95_ms: float


def measure_latency(
    runner: Callable[[dict[str, NDArray[Any]]], object],
    inputs: Mapping[str, NDArray[Any]],
    *,
    calls: int = 50,
    warmup: int = 5,
) -> Latency:
    """Time a runner on given inputs.

    Args:
        runner: what `load_artifact` returns, or any function of the inputs.
        inputs: one array per input.
        calls: how many calls are timed.
        warmup: how many calls go before them, untimed: the first ones allocate.

    Raises:
        ValueError: `calls` is not positive, or the inputs do not fit the endpoint.
    """
    if calls < 1:
        raise ValueError(f"calls: expected at least 1, got {calls}.")
    inputs = dict(inputs)
    for _ in range(warmup):
        runner(inputs)
    milliseconds = []
    for _ in range(calls):
        started = time.perf_counter()
        runner(inputs)
        milliseconds.append(1e3 * (time.perf_counter() - started))
    p50, p95 = np.percentile(milliseconds, (50, 95))
    return Latency(float(p50), float(p95))
