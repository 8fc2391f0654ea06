"""A cost model of a step of synchronous training on n workers: the work of one and a ring all-reduce.

Each worker computes the gradient of its own examples, and then the gradients are summed. In a ring the P
numbers are split into n pieces and pass all workers twice: once to be summed, once to be distributed. That
is 2 (n - 1) turns, in each of which every worker sends one piece of P / n numbers to the next one:

    bytes(n)   = 2 (n - 1) / n  4 P               sent by each worker, at most 8 P
    seconds(n) = c + k 2 (n - 1) latency + bytes(n) / bandwidth
    share(n)   = seconds(1) / seconds(n)          of n times the speed, at equal work per worker

c is the time of a worker's own examples, and k the number of exchanges in a step: the gradients, and small
exchanges of metrics and of batch normalization statistics, which cost only their turns. The model assumes
that nothing is sent while a worker computes, and that all workers are equally fast. In practice, overlap
makes a step faster, and a slow worker makes it slower.

Reference: Patarasso and Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations (2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BYTES = 4  # per float32


@dataclass(frozen=True)
class Link:
    """A link between two neighbors of the ring.

    Attributes:
        latency: seconds of a turn without data.
        bandwidth: bytes per second.
    """

    latency: float
    bandwidth: float


def bytes_sent(workers: int, parameters: int) -> float:
    """Return the bytes that each worker sends per step."""
    return 2 * (workers - 1) / workers * BYTES * parameters


def exchange_seconds(workers: int, parameters: int, link: Link) -> float:
    """Return the seconds of an all-reduce."""
    return 2 * (workers - 1) * link.latency + bytes_sent(workers, parameters) / link.bandwidth


def step_seconds(workers: int, compute: float, parameters: int, link: Link, exchanges: int = 1) -> float:
    """Return the seconds of a step in which every worker computes for `compute` seconds."""
    small = (exchanges - 1) * exchange_seconds(workers, 0, link)
    return compute + small + exchange_seconds(workers, parameters, link)


def efficiency(workers: int, compute: float, parameters: int, link: Link, exchanges: int = 1) -> float:
    """Return the share of n times one worker's examples per second that n workers reach."""
    return compute / step_seconds(workers, compute, parameters, link, exchanges)


def fitted(workers: int, parameters: Sequence[int], seconds: Sequence[float]) -> Link:
    """Fit a link to measured all-reduces by relative least squares.

    Args:
        workers: number of workers.
        parameters: numbers exchanged in each all-reduce, at least two different sizes.
        seconds: duration of each all-reduce.
    """
    turns = np.full(len(parameters), 2.0 * (workers - 1))
    sent = np.array([bytes_sent(workers, each) for each in parameters])
    measured = np.asarray(seconds)
    unknowns = np.stack([turns, sent], axis=1) / measured[:, None]
    latency, inverse = np.linalg.lstsq(unknowns, np.ones(len(measured)), rcond=None)[0]
    return Link(max(float(latency), 0.0), 1.0 / float(inverse) if inverse > 0 else float("inf"))
