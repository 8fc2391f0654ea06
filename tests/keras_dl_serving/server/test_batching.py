"""Requests that are combined into batches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pytest

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError
from keras_dl_serving.server.batching import BatchingEngine, BatchingOptions
from keras_dl_serving.server.engines.engine import Cancellation
from tests._support.fake_engine import FakeEngine

Result = TypeVar("Result")


class Recording(FakeEngine):
    """An engine `y = 2 x` that records its inputs, and waits while `gate` is closed."""

    def __init__(self, answer: Callable[[Array], Array] = lambda x: 2 * x) -> None:
        super().__init__(answer)
        self.ran: list[list[float]] = []
        self.gate = threading.Event()
        self.began = threading.Event()

    def run(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        cancellation: Cancellation | None = None,
    ) -> list[Array]:
        self.began.set()
        assert self.gate.wait(10)
        self.ran.append(inputs["x"].ravel().tolist())
        return super().run(signature_name, inputs, outputs)


async def ask(engine: BatchingEngine, values: Sequence[float] | Array) -> list[float]:
    (y,) = await engine.submit("serving_default", {"x": np.asarray(values, np.float32)}, ["y"])
    answer: list[float] = y.ravel().tolist()
    return answer


def run(work: Awaitable[Result]) -> Result:
    async def bounded() -> Result:
        return await asyncio.wait_for(work, 20)

    return asyncio.run(bounded())


async def behind(
    engine: BatchingEngine, inner: Recording, requests: Sequence[Sequence[float] | Array]
) -> list[list[float]]:
    """Occupy the only thread, queue the requests in order, release it, and return the answers."""
    first = asyncio.create_task(ask(engine, [-1.0]))
    while not inner.began.is_set():
        await asyncio.sleep(0.001)
    queued = [asyncio.create_task(ask(engine, request)) for request in requests]
    await asyncio.sleep(0.01)
    inner.gate.set()
    assert await first == [-2.0]
    return await asyncio.gather(*queued)


def test_waiting_requests_run_together_and_each_gets_its_own_outputs() -> None:
    inner = Recording()
    engine = BatchingEngine(inner, BatchingOptions(threads=1))
    assert run(behind(engine, inner, [[1], [2, 3], [4]])) == [[2], [4, 6], [8]]
    assert inner.ran == [[-1], [1, 2, 3, 4]]
    engine.close()
    assert inner.closed.is_set()


def test_simultaneous_requests_run_together_from_the_first_on() -> None:
    inner = Recording()
    inner.gate.set()
    engine = BatchingEngine(inner, BatchingOptions(threads=2))

    async def together() -> list[list[float]]:
        return await asyncio.gather(*(ask(engine, [value]) for value in range(5)))

    assert run(together()) == [[0], [2], [4], [6], [8]]
    assert inner.ran == [[0, 1, 2, 3, 4]]
    engine.close()


def test_a_batch_is_never_larger_than_allowed_and_filled_up() -> None:
    inner = Recording()
    engine = BatchingEngine(inner, BatchingOptions(4, threads=1, allowed_batch_sizes=(2, 4)))
    assert run(behind(engine, inner, [[1, 2], [3], [4, 5]])) == [[2, 4], [6], [8, 10]]
    assert inner.ran == [[-1, -1], [1, 2, 3, 1], [4, 5]]
    engine.close()


def test_a_full_queue_and_a_large_task_are_refused() -> None:
    inner = Recording()
    engine = BatchingEngine(inner, BatchingOptions(2, max_enqueued_batches=1, threads=1))
    with pytest.raises(
        UnavailableError, match="^The batch scheduling queue to which this task was submitted is full$"
    ):
        run(behind(engine, inner, [[1, 2], [3]]))
    with pytest.raises(InvalidArgumentError, match="^Task size 3 is larger than maximum input batch size 2$"):
        run(ask(engine, [1, 2, 3]))
    engine.close()


def test_a_large_task_can_be_split() -> None:
    inner = Recording()
    inner.gate.set()
    engine = BatchingEngine(inner, BatchingOptions(2, threads=1, split=True))
    assert run(ask(engine, [1, 2, 3])) == [2, 4, 6]
    assert inner.ran == [[1, 2], [3]]
    engine.close()


def test_the_timeout_makes_a_batch_wait_for_others() -> None:
    inner = Recording()
    inner.gate.set()
    engine = BatchingEngine(inner, BatchingOptions(3, timeout_micros=15_000_000, threads=2))

    async def one_after_the_other() -> list[list[float]]:
        asked = []
        for value in (1.0, 2.0, 3.0):
            asked.append(asyncio.create_task(ask(engine, [value])))
            await asyncio.sleep(0.01)
        return await asyncio.gather(*asked)

    assert run(one_after_the_other()) == [[2.0], [4.0], [6.0]]
    assert inner.ran == [[1, 2, 3]]
    engine.close()


def test_a_batch_that_is_not_full_runs_at_its_timeout() -> None:
    inner = Recording()
    inner.gate.set()
    engine = BatchingEngine(inner, BatchingOptions(3, timeout_micros=50_000, threads=2))
    assert run(ask(engine, [1])) == [2]
    engine.close()


def test_an_invalid_request_does_not_affect_the_others() -> None:
    def answer(x: Array) -> Array:
        if (x == 13).any():
            raise InvalidArgumentError("13 is not wanted")
        return 2 * x

    inner = Recording(answer)
    engine = BatchingEngine(inner, BatchingOptions(threads=1))

    async def both() -> list[list[float] | BaseException]:
        first = asyncio.create_task(ask(engine, [-1.0]))
        await asyncio.sleep(0.01)
        inner.gate.set()
        return await asyncio.gather(first, ask(engine, [13]), ask(engine, [2]), return_exceptions=True)

    _, wrong, right = run(both())
    assert isinstance(wrong, InvalidArgumentError)
    assert right == [4]
    assert [2.0] in inner.ran
    engine.close()


def test_an_abandoned_request_is_omitted_and_the_others_succeed() -> None:
    inner = Recording()
    engine = BatchingEngine(inner, BatchingOptions(threads=1))

    async def give_up() -> list[float]:
        first = asyncio.create_task(ask(engine, [-1.0]))
        while not inner.began.is_set():
            await asyncio.sleep(0.001)
        gone, stays = (asyncio.create_task(ask(engine, [value])) for value in (1, 2))
        await asyncio.sleep(0.01)
        gone.cancel()
        first.cancel()
        inner.gate.set()
        return await stays

    assert run(give_up()) == [4]
    assert inner.ran == [[-1], [2]]
    engine.close()


def test_shapes_do_not_mix_unless_padded() -> None:
    for pad, ran in ((False, [[-1], [1, 2], [3, 4, 5]]), (True, [[-1], [1, 2, 1, 3, 4, 5]])):
        inner = Recording()
        engine = BatchingEngine(inner, BatchingOptions(threads=1, pad=pad))
        rows = [np.float32([[1, 2]]), np.float32([[3, 4, 5]])]
        answers = run(behind(engine, inner, rows))
        assert [answer[:2] for answer in answers] == [[2, 4], [6, 8]]
        assert inner.ran == ran
        engine.close()


def test_an_input_without_a_batch_axis_is_refused() -> None:
    inner = Recording(lambda x: np.float32(1))
    inner.gate.set()
    engine = BatchingEngine(inner, BatchingOptions(threads=1))
    with pytest.raises(InvalidArgumentError, match="must have at least one dimension"):
        run(engine.submit("serving_default", {"x": np.float32(1)}, ["y"]))
    with pytest.raises(InvalidArgumentError, match="must have equal 0th-dimension size"):
        run(engine.submit("serving_default", {"x": np.ones(2), "z": np.ones(3)}, ["y"]))
    with pytest.raises(FailedPreconditionError, match="Batched output tensor has 0 dimensions"):
        run(ask(engine, [1]))
    engine.close()


@pytest.mark.parametrize(("requests", "ran"), [([[]], []), ([[], [3, 4, 5]], [3, 4, 5, 3])])
def test_a_request_without_rows_provides_no_padding(requests: list[list[float]], ran: list[float]) -> None:
    inner = Recording()
    engine = BatchingEngine(
        inner, BatchingOptions(max_batch_size=4, threads=1, allowed_batch_sizes=(1, 2, 4))
    )
    answers = run(behind(engine, inner, requests))
    assert answers == [[2 * value for value in values] for values in requests]
    assert inner.ran == [[-1], ran]
    engine.close()
