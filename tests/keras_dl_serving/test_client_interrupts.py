"""Calls that are interrupted or cancelled, also while their answer comes: the next call gets its own."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from keras_dl_serving import AsyncClient, Client, Server
from keras_dl_serving.client import http_connections
from tests._support.forks import wrong_of_gathered

PROTOCOLS = ["rest_url", "grpc_url"]


class Interrupted(BaseException):
    """What an interrupt raises in the main thread, as Ctrl-C does."""


@pytest.fixture
def interrupts() -> Iterator[None]:
    """The alarm raises `Interrupted`."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def large(number: int) -> Any:
    """An input whose answer comes in many pieces."""
    return np.full(20_000, number, np.float32)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_call_after_an_interrupt_gets_its_own_answer(protocol: str, triple: Server) -> None:
    delay, interrupted = random.Random(0), 0
    with Client(getattr(triple, protocol), timeout=20) as client:
        client.predict("triple", [1.0])
        began = time.perf_counter()
        client.predict("triple", large(1))
        longest = time.perf_counter() - began
        for number in range(150):
            try:
                signal.setitimer(signal.ITIMER_REAL, delay.uniform(1e-4, longest))
                assert (client.predict("triple", large(number))["y"] == 3.0 * number).all()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                interrupted += 1
            assert client.predict("triple", [-float(number)])["y"].tolist() == [-3.0 * number]
    assert interrupted > 5


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_an_interrupt_of_predict_batches_does_not_wait_for_those_in_flight(scheme: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        Client(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", timeout=30) as client,
    ):
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(Interrupted):
            list(client.predict_batches("triple", [[1.0]] * 9, in_flight=3))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_calls_after_cancelled_ones_get_their_own_answers(
    protocol: str, triple: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none of the few connections is lost."""
    monkeypatch.setattr(http_connections, "AT_ONCE", 2)
    delay = random.Random(0)

    async def ask() -> int:
        cancelled = 0
        async with AsyncClient(getattr(triple, protocol), timeout=20) as client:
            await client.predict("triple", [1.0])
            began = time.perf_counter()
            await asyncio.gather(*(client.predict("triple", large(1)) for _ in range(3)))
            longest = time.perf_counter() - began
            for number in range(100):
                calls = [asyncio.create_task(client.predict("triple", large(number))) for _ in range(3)]
                await asyncio.sleep(delay.uniform(0, longest))
                for call in calls:
                    call.cancel()
                    asyncio.get_running_loop().call_soon(call.cancel)  # once more, as it closes what it had
                for call in calls:
                    with suppress(asyncio.CancelledError):
                        assert ((await call)["y"] == 3.0 * number).all()
                    cancelled += call.cancelled()
                assert await wrong_of_gathered(client, 1000, 3) == []
        return cancelled

    assert asyncio.run(ask()) > 5


def test_idle_connections_of_a_burst_are_closed(triple: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    def connections() -> int:
        found = psutil.Process().net_connections("tcp")
        return sum(bool(each.raddr) and each.raddr.port == triple.rest_port for each in found)

    async def ask() -> tuple[int, int]:
        async with AsyncClient(triple.rest_url) as client:
            assert await wrong_of_gathered(client, 0, 20) == []
            burst = connections()
            await asyncio.sleep(0.3)
            await client.predict("triple", [1.0])
            await asyncio.sleep(0.1)
            return burst, connections()

    monkeypatch.setattr(http_connections, "_IDLE_SECONDS", 0.2)
    burst, later = asyncio.run(ask())
    assert burst > 5
    assert later == 1
