"""Calls that are interrupted or canceled, also while the response arrives: the next call gets its own."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import numpy as np
import pytest

from keras_dl_serving import AsyncClient, Client, Server
from keras_dl_serving.client import grpc_transport, http_connections
from tests._support.forks import wrong_of_gathered

PROTOCOLS = ["rest_url", "grpc_url"]
# Where the locks and connections are: an interrupt elsewhere passes through these as it propagates.
TRACED = ("keras_dl_serving/client", "httpcore", "threading.py", "grpc/_channel.py")


class Interrupted(BaseException):
    """Interrupt the main thread, like Ctrl-C."""


def large(number: int) -> Any:
    """Return an input whose response arrives in many pieces."""
    return np.full(20_000, number, np.float32)


def interrupted_at(step: int, call: Callable[[], object]) -> bool:
    """Make a call that is interrupted as the function that is the `step`th to return does so.

    A signal's handler runs between two instructions: a function may have acquired a lock, and its caller not
    know it yet.

    Returns:
        Whether so many functions of the client and of the libraries below it returned.
    """
    returned = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        nonlocal returned
        if event == "call":  # an exception in a finalizer is dropped
            file, name = frame.f_code.co_filename, frame.f_code.co_name
            return trace if name != "__del__" and any(part in file for part in TRACED) else None
        if event == "return":
            returned += 1
            if returned == step:
                raise Interrupted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Interrupted:
        pass
    finally:
        sys.settrace(before)
    return returned >= step


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_after_an_interrupt_at_any_point_gets_its_own_answer(protocol: str, triple: Server) -> None:
    with Client(getattr(triple, protocol), timeout=20) as client:
        client.predict("triple", [1.0])
        step = 1
        while interrupted_at(step, partial(client.predict, "triple", large(step))):
            assert client.predict("triple", [-float(step)], timeout=5)["y"].tolist() == [-3.0 * step]
            step += 1
    assert step > 50


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_interrupted_calls_free_their_slots(
    protocol: str, triple: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "AT_ONCE", 1)
    monkeypatch.setattr(grpc_transport, "AT_ONCE", 1)
    with Client(getattr(triple, protocol), timeout=20) as client:
        client.predict("triple", [1.0])
        step = 1
        while interrupted_at(step, partial(client.predict, "triple", [2.0])):
            assert client.predict("triple", [1.0], timeout=5)["y"].tolist() == [3.0]
            step += 1


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_an_interrupt_of_predict_batches_does_not_wait_for_batches_in_flight(scheme: str) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            Client(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", timeout=30) as client,
        ):
            began = time.monotonic()
            threading.Timer(0.3, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1)).start()
            with pytest.raises(Interrupted):
                list(client.predict_batches("triple", [[1.0]] * 9, in_flight=3))
        assert time.monotonic() - began < 10
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_calls_after_canceled_ones_get_their_own_answers(
    protocol: str, triple: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check as well that no connection of the pool is lost."""
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
