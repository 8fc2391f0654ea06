"""Requests that wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import FailedPrecondition, InvalidArgument, Unavailable
from keras_dl_serving.server.batching import BatchingEngine, BatchingOptions
from tests.keras_dl_serving.fakes import FakeEngine


class Recording(FakeEngine):
    """`y = 2 x`, noting what it was run with; held back while `gate` is closed."""

    def __init__(self, answer: Callable[[Array], Array] = lambda x: 2 * x) -> None:
        super().__init__(answer)
        self.ran: list[list[float]] = []
        self.gate = threading.Event()
        self.began = threading.Event()

    def run(self, signature_name: str, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        self.began.set()
        assert self.gate.wait(10)
        self.ran.append(inputs["x"].ravel().tolist())
        return super().run(signature_name, inputs, outputs)


def ask(engine: BatchingEngine, *values: float) -> list[float]:
    (y,) = engine.run("serving_default", {"x": np.float32(values)}, ["y"])
    answer: list[float] = y.tolist()
    return answer


def run_behind(engine: BatchingEngine, inner: Recording, requests: list[list[float]]) -> list[list[float]]:
    """Occupy the only thread, queue the requests in order, let go; the answers."""
    with ThreadPoolExecutor(len(requests) + 1) as pool:
        first = pool.submit(ask, engine, -1.0)
        assert inner.began.wait(10)
        futures = []
        for request in requests:
            queued = sum(batch.size for batch in engine._queue)
            futures.append(pool.submit(ask, engine, *request))
            while sum(batch.size for batch in engine._queue) == queued and not futures[-1].done():
                pass
        inner.gate.set()
        assert first.result(10) == [-2.0]
        return [future.result(10) for future in futures]


def test_what_waits_runs_together_and_everyone_gets_his_own() -> None:
    inner = Recording()
    engine = BatchingEngine(inner, BatchingOptions(threads=1))
    assert run_behind(engine, inner, [[1], [2, 3], [4]]) == [[2], [4, 6], [8]]
    assert inner.ran == [[-1], [1, 2, 3, 4]]
    engine.close()
    assert inner.closed.is_set()


def test_a_batch_is_never_larger_than_allowed_and_filled_up() -> None:
    inner = Recording()
    engine = BatchingEngine(inner, BatchingOptions(4, threads=1, allowed_batch_sizes=(2, 4)))
    assert run_behind(engine, inner, [[1, 2], [3], [4, 5]]) == [[2, 4], [6], [8, 10]]
    assert inner.ran == [[-1, -1], [1, 2, 3, 1], [4, 5]]
    engine.close()


def test_a_full_queue_and_a_large_task_are_refused() -> None:
    inner = Recording()
    engine = BatchingEngine(inner, BatchingOptions(2, max_enqueued_batches=1, threads=1))
    with pytest.raises(
        Unavailable, match="^The batch scheduling queue to which this task was submitted is full$"
    ):
        run_behind(engine, inner, [[1, 2], [3]])
    with pytest.raises(InvalidArgument, match="^Task size 3 is larger than maximum input batch size 2$"):
        ask(engine, 1, 2, 3)
    engine.close()


def test_a_large_task_can_be_split() -> None:
    inner = Recording()
    inner.gate.set()
    engine = BatchingEngine(inner, BatchingOptions(2, threads=1, split=True))
    assert ask(engine, 1, 2, 3) == [2, 4, 6]
    assert inner.ran == [[1, 2], [3]]
    engine.close()


def test_the_timeout_makes_a_batch_wait_for_others() -> None:
    inner = Recording()
    inner.gate.set()
    engine = BatchingEngine(inner, BatchingOptions(3, timeout_micros=20_000_000, threads=2))
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda value: ask(engine, value), [1.0, 2.0, 3.0]))
    assert answers == [[2.0], [4.0], [6.0]]
    assert [sorted(values) for values in inner.ran] == [[1, 2, 3]]
    engine.close()


def test_the_mistake_of_one_is_not_the_others() -> None:
    def answer(x: Array) -> Array:
        if (x == 13).any():
            raise InvalidArgument("13 is not wanted")
        return 2 * x

    inner = Recording(answer)
    engine = BatchingEngine(inner, BatchingOptions(threads=1))
    with pytest.raises(InvalidArgument, match="13"):
        run_behind(engine, inner, [[13], [2]])
    assert ask(engine, 5) == [10]
    assert [2.0] in inner.ran
    engine.close()


def test_shapes_do_not_mix_unless_padded() -> None:
    for pad, ran in ((False, [[-1], [1, 2], [3, 4, 5]]), (True, [[-1], [1, 2, 1, 3, 4, 5]])):
        inner = Recording()
        engine = BatchingEngine(inner, BatchingOptions(threads=1, pad=pad))
        rows = [np.float32([[1, 2]]), np.float32([[3, 4, 5]])]
        with ThreadPoolExecutor(3) as pool:
            pool.submit(ask, engine, -1.0)
            assert inner.began.wait(10)
            futures = []
            for number, row in enumerate(rows, 1):
                futures.append(pool.submit(engine.run, "serving_default", {"x": row}, ["y"]))
                while sum(batch.size for batch in engine._queue) < number:
                    pass
            inner.gate.set()
            assert [future.result(10)[0].ravel().tolist()[:2] for future in futures] == [[2, 4], [6, 8]]
        assert inner.ran == ran
        engine.close()


def test_what_has_no_batch_is_refused() -> None:
    inner = Recording(lambda x: np.float32(1))
    inner.gate.set()
    engine = BatchingEngine(inner, BatchingOptions(threads=1))
    with pytest.raises(InvalidArgument, match="must have at least one dimension"):
        engine.run("serving_default", {"x": np.float32(1)}, ["y"])
    with pytest.raises(InvalidArgument, match="must have equal 0th-dimension size"):
        engine.run("serving_default", {"x": np.ones(2), "z": np.ones(3)}, ["y"])
    with pytest.raises(FailedPrecondition, match="Batched output tensor has 0 dimensions"):
        ask(engine, 1)
    engine.close()
