"""The cost model of the ring, compared with a simulated ring."""

from __future__ import annotations

import numpy as np
import pytest
import ring


def simulated(workers: int, size: int) -> tuple[list[np.ndarray], list[int], int]:
    """Return the result of each worker, the bytes that each one sent, and the number of turns."""
    random = np.random.default_rng(workers)
    vectors = [random.integers(0, 9, size).astype("float32") for _ in range(workers)]
    wanted = np.sum(vectors, axis=0)
    pieces = [np.array_split(vector, workers) for vector in vectors]
    sent, turns = [0] * workers, 0
    for phase in (0, 1):
        for turn in range(workers - 1):
            turns += 1
            messages = []
            for worker in range(workers):
                index = (worker - turn + phase) % workers
                messages.append((worker, index, pieces[worker][index].copy()))
            for worker, index, message in messages:
                sent[worker] += message.nbytes
                there = pieces[(worker + 1) % workers]
                there[index] = message if phase else there[index] + message
    results = [np.concatenate(each) for each in pieces]
    for result in results:
        np.testing.assert_array_equal(result, wanted)
    return results, sent, turns


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_bytes_and_turns_match_the_simulation(workers: int) -> None:
    size = 24 * workers
    _, sent, turns = simulated(workers, size)
    assert set(sent) == {ring.bytes_sent(workers, size)}
    slow = ring.Link(latency=1.0, bandwidth=float("inf"))
    assert ring.exchange_seconds(workers, size, slow) == turns


def test_one_worker_exchanges_nothing() -> None:
    link = ring.Link(1e-3, 1e9)
    assert ring.step_seconds(1, 0.5, 10**6, link) == 0.5
    assert ring.efficiency(1, 0.5, 10**6, link, exchanges=9) == 1.0


def test_each_exchange_costs_the_latency_of_its_turns() -> None:
    link = ring.Link(1e-3, 1e9)
    alone, among = (ring.step_seconds(3, 0.5, 10**6, link, exchanges=count) for count in (1, 6))
    assert among - alone == pytest.approx(5 * 4 * 1e-3)


def test_bytes_stay_bounded_and_efficiency_falls() -> None:
    link = ring.Link(50e-6, 1.25e9)
    counts = [2**power for power in range(1, 11)]
    sent = [ring.bytes_sent(count, 10**6) for count in counts]
    assert sent == sorted(sent)
    assert sent[-1] < 8 * 10**6
    shares = [ring.efficiency(count, 0.1, 10**6, link) for count in counts]
    assert shares == sorted(shares, reverse=True)


def test_fitting_recovers_the_link() -> None:
    link = ring.Link(3e-4, 8e8)
    sizes = [10**3, 10**5, 10**7]
    found = ring.fitted(4, sizes, [ring.exchange_seconds(4, size, link) for size in sizes])
    assert found.latency == pytest.approx(link.latency, rel=1e-6)
    assert found.bandwidth == pytest.approx(link.bandwidth, rel=1e-6)
