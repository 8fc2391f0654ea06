"""What a step of synchronous training costs on n workers: the work of one, and a ring all-reduce.

Each worker computes the gradient of its own examples, and then all take the sum. In a ring the P numbers are
cut into n pieces and go round twice: once to be summed up, once to be handed out. That is 2 (n - 1) turns in
which each worker sends one piece of P / n numbers to the next one:

    bytes(n)   = 2 (n - 1) / n  4 P               sent by each worker, at most 8 P
    seconds(n) = c + k 2 (n - 1) latency + bytes(n) / bandwidth
    share(n)   = seconds(1) / seconds(n)          of n times the speed, at equal work a worker

c is the time of a worker's own examples, and k the number of exchanges in a step: the gradients, and small
ones besides, of figures and of statistics of batch normalisation, that cost their turns alone. Nothing is
sent while a worker computes in this model, and none is slower than the others: in truth the first makes it
faster, and the second slower.

Reference: Patarasso and Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations (2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BYTES = 4  # of a float32


@dataclass(frozen=True)
class Link:
    """What joins two neighbours of the ring.

    Attributes:
        latency: seconds of a turn in which nothing is sent.
        bandwidth: bytes a second.
    """

    latency: float
    bandwidth: float


def bytes_sent(workers: int, parameters: int) -> float:
    """Bytes that each worker sends in a step."""
    return 2 * (workers - 1) / workers * BYTES * parameters


def exchange_seconds(workers: int, parameters: int, link: Link) -> float:
    """Seconds of an all-reduce."""
    return 2 * (workers - 1) * link.latency + bytes_sent(workers, parameters) / link.bandwidth


def step_seconds(workers: int, compute: float, parameters: int, link: Link, exchanges: int = 1) -> float:
    """Seconds of a step in which every worker computes for `compute` seconds."""
    small = (exchanges - 1) * exchange_seconds(workers, 0, link)
    return compute + small + exchange_seconds(workers, parameters, link)


def efficiency(workers: int, compute: float, parameters: int, link: Link, exchanges: int = 1) -> float:
    """The share of n times one worker's examples a second that n workers reach, at equal work a worker."""
    return compute / step_seconds(workers, compute, parameters, link, exchanges)


def fitted(workers: int, parameters: Sequence[int], seconds: Sequence[float]) -> Link:
    """The link that explains measured all-reduces best, by relative least squares.

    Args:
        workers: that took part in each.
        parameters: numbers exchanged, at least two different sizes.
        seconds: that each took.
    """
    turns = np.full(len(parameters), 2.0 * (workers - 1))
    sent = np.array([bytes_sent(workers, each) for each in parameters])
    measured = np.asarray(seconds)
    unknowns = np.stack([turns, sent], axis=1) / measured[:, None]
    latency, inverse = np.linalg.lstsq(unknowns, np.ones(len(measured)), rcond=None)[0]
    return Link(max(float(latency), 0.0), 1.0 / float(inverse) if inverse > 0 else float("inf"))
