"""Many calls of one client at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from keras_dl_serving import AsyncClient, Client, ConnectionFailedError, DeadlineExceededError, NotFoundError
from tests._support.peers import RestModel, rest_peer

CALLS = 400


def at_once(kind: str, url: str, **options: Any) -> list[Any]:
    """Return the results or errors of many first calls of one client."""
    if kind == "Client":
        with Client(url, **options) as client, ThreadPoolExecutor(CALLS) as threads:

            def ask(_: int) -> Any:
                try:
                    return client.predict("m", [1.0])["y"].tolist()
                except Exception as error:
                    return error

            return list(threads.map(ask, range(CALLS)))

    async def ask_all() -> list[Any]:
        async with AsyncClient(url, **options) as client:
            calls = (client.predict("m", [1.0]) for _ in range(CALLS))
            return await asyncio.gather(*calls, return_exceptions=True)

    return [
        found if isinstance(found, BaseException) else found["y"].tolist() for found in asyncio.run(ask_all())
    ]


def counting(answer: Callable[[str, bytes], Any], most: list[int]) -> Callable[[str, bytes], Any]:
    """Return the same results; `most` holds the largest number of concurrent calls."""
    lock, now = threading.Lock(), 0

    def counted(path: str, body: bytes) -> Any:
        nonlocal now
        with lock:
            now += 1
            most[0] = max(most[0], now)
        try:
            return answer(path, body)
        finally:
            with lock:
                now -= 1

    return counted


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_many_first_calls_request_metadata_once(kind: str) -> None:
    model, most = RestModel(y=[2.0]), [0]
    with rest_peer(counting(model.answer, most)) as url:
        assert at_once(kind, url) == [[2.0]] * CALLS
    assert model.asked.count("metadata") == 1
    assert model.asked.count("predict") == CALLS
    assert most[0] <= 100


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_after_a_swap_metadata_is_requested_once(kind: str) -> None:
    model = RestModel(y=[True])  # no float: all find out at the same time
    gate = threading.Barrier(2)

    def answer(path: str, body: bytes) -> Any:
        if path.endswith("metadata") and model.asked.count("metadata") == 1:
            gate.wait(20)
            model.gives = "DT_BOOL"
        return model.answer(path, body)

    with rest_peer(answer) as url:
        threading.Thread(target=gate.wait, args=(20,), daemon=True).start()
        assert at_once(kind, url) == [[True]] * CALLS
    assert model.asked.count("metadata") == 2


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_an_error_of_metadata_fails_all_waiting_calls(kind: str) -> None:
    asked = []

    def answer(path: str, body: bytes) -> Any:
        asked.append(path)
        time.sleep(0.2)  # until all wait for it
        return 404, b'{"error": "no m"}'

    with rest_peer(answer) as url:
        found = at_once(kind, url)
    assert {type(error) for error in found} == {NotFoundError}
    assert {str(error) for error in found} == {f"no m (predict of model 'm' at {url})"}
    assert len(asked) < 20
    began = time.monotonic()
    with rest_peer(answer) as url:
        pass  # nobody is there any more
    assert {type(error) for error in at_once(kind, url, timeout=30)} == {ConnectionFailedError}
    assert time.monotonic() - began < 15


def test_a_short_timeout_does_not_affect_other_calls() -> None:
    """The requesting call times out, and the next one requests again."""
    slow = threading.Event()
    model = RestModel(y=[2.0])

    def answer(path: str, body: bytes) -> Any:
        if not slow.is_set():
            slow.set()
            time.sleep(0.5)
        return model.answer(path, body)

    async def ask(url: str) -> list[Any]:
        async with AsyncClient(url) as client:
            calls = (client.predict("m", [1.0], timeout=timeout) for timeout in (0.2, None, 0.1))
            return await asyncio.gather(*calls, return_exceptions=True)

    with rest_peer(answer) as url:
        short, patient, waiting = asyncio.run(ask(url))
    assert isinstance(short, DeadlineExceededError)
    assert isinstance(waiting, DeadlineExceededError)
    assert patient["y"].tolist() == [2.0]


def test_a_canceled_call_does_not_affect_the_others() -> None:
    model = RestModel(y=[2.0])

    def answer(path: str, body: bytes) -> Any:
        time.sleep(0.2)
        return model.answer(path, body)

    async def ask(url: str) -> Any:
        async with AsyncClient(url) as client:
            first, second = (asyncio.create_task(client.predict("m", [1.0])) for _ in range(2))
            await asyncio.sleep(0.05)
            first.cancel()
            assert (await second)["y"].tolist() == [2.0]
            with pytest.raises(asyncio.CancelledError):
                await first

    with rest_peer(answer) as url:
        asyncio.run(ask(url))
