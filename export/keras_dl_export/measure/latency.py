"""The latency of one call of a model in any runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.results import Latency

Inputs = Mapping[str, NDArray[Any]]


def measure_latency(
    runner: Callable[[dict[str, NDArray[Any]]], object],
    inputs: Inputs,
    *,
    calls: int = 50,
    warmup: int = 5,
    seconds: float | None = None,
) -> Latency:
    """Time a runner on given inputs.

    Args:
        runner: the result of `load_artifact`, or any function of the inputs.
        inputs: one array per input.
        calls: the number of timed calls.
        warmup: the number of untimed calls before them; the first calls allocate memory.
        seconds: the time limit, from the end of the first call; at least one call is timed.

    Raises:
        ValueError: `calls` is not positive, or the inputs do not fit the endpoint.
    """
    if calls < 1:
        raise ValueError(f"calls: expected at least 1, got {calls}.")
    inputs = dict(inputs)
    begun = time.perf_counter()

    def late() -> bool:
        return seconds is not None and time.perf_counter() - begun > seconds

    for index in range(warmup):
        runner(inputs)
        if index == 0:
            begun = time.perf_counter()  # the first call may compile
        if late():
            break
    milliseconds = []
    for _ in range(calls):
        started = time.perf_counter()
        runner(inputs)
        milliseconds.append(1e3 * (time.perf_counter() - started))
        if late():
            break
    p50, p95 = np.percentile(milliseconds, (50, 95))
    return Latency(float(p50), float(p95))
