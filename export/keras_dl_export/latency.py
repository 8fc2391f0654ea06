"""How long one call of a runner takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keras_dl_export.runtime import Runner


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one call: the median, and what 95 of 100 calls stay below."""

    p50_ms: float
    p95_ms: float


def measure_latency(
    runner: Runner, inputs: Mapping[str, ArrayLike], *, calls: int = 50, warmup: int = 5
) -> Latency:
    """Time a runner on given inputs.

    Args:
        runner: what `load_artifact` returns.
        inputs: one array per input.
        calls: how many calls are timed.
        warmup: how many calls go before them, untimed: the first ones allocate.

    Raises:
        ValueError: `calls` is not positive, or the inputs do not fit the endpoint.
    """
    if calls < 1:
        raise ValueError(f"calls: expected at least 1, got {calls}.")
    for _ in range(warmup):
        runner(inputs)
    milliseconds = []
    for _ in range(calls):
        started = time.perf_counter()
        runner(inputs)
        milliseconds.append(1e3 * (time.perf_counter() - started))
    p50, p95 = np.percentile(milliseconds, (50, 95))
    return Latency(float(p50), float(p95))
