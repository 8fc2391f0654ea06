"""Clients and embedded servers in other processes and event loops, and with thousands of concurrent calls."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keras_dl_serving import AsyncClient, Client, Server, ServerStartError
from tests._support.forks import spawned, wrong, wrong_around_a_fork, wrong_of_gathered
from tests._support.served_models import save_scale
from tests._support.warmup_records import predict_log, write_warmup

PROTOCOLS = ["rest_url", "grpc_url"]


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`triple` with a warm-up request."""
    folder = tmp_path_factory.mktemp("warmed")
    save_scale(folder / "triple" / "1", 3.0)
    write_warmup(folder / "triple" / "1", predict_log(1.0).SerializeToString())
    return folder


@pytest.fixture(scope="module")
def server(warmed: Path) -> Iterator[Server]:
    with Server(warmed, rest_port=0, grpc_port=0) as running:
        yield running


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_client_used_before_a_fork_returns_each_process_its_own_answers(
    protocol: str, server: Server
) -> None:
    assert spawned(wrong_around_a_fork, getattr(server, protocol)) == [[]] * 7


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_3000_gathered_calls_are_all_answered(protocol: str, server: Server) -> None:
    async def ask() -> list[Any]:
        async with AsyncClient(getattr(server, protocol)) as client:
            await client.predict("triple", [1.0])
            return await wrong_of_gathered(client, 0, 3000)

    assert asyncio.run(ask()) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_clients_are_pickled_and_copied(protocol: str, server: Server) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    url = getattr(server, protocol)
    with Client(url, headers={"authorization": "Bearer t"}) as client:
        client.predict("triple", [1.0])  # its connections stay here
        twins = [pickle.loads(pickle.dumps(client, version)) for version in range(2, 6)]
        twins += [copy.deepcopy(client), pickle.loads(cloudpickle.dumps(client))]
        for twin in twins:
            with twin:
                assert wrong(twin, 10, 2) == []
        assert spawned(wrong, client, 20, 2) == []
        assert wrong(client, 30, 2) == []

    async def ask() -> list[Any]:
        async with AsyncClient(url) as client:
            await client.predict("triple", [1.0])
            async with pickle.loads(pickle.dumps(client)) as twin:
                return await wrong_of_gathered(twin, 0) + await wrong_of_gathered(client, 40)

    assert asyncio.run(ask()) == []


def test_pickling_a_server_is_refused_with_the_alternative(server: Server) -> None:
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match=r"Server: .*rest_url.*Client"):
            take(server)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.filterwarnings("error")  # of sockets that are still open
def test_an_async_client_in_a_second_event_loop(protocol: str, server: Server) -> None:
    client = AsyncClient(getattr(server, protocol), timeout=20)
    for start in (0, 1000, 2000):
        assert asyncio.run(wrong_of_gathered(client, start)) == []
    asyncio.run(client.close())


def test_a_server_starts_inside_a_running_event_loop(warmed: Path, tmp_path: Path) -> None:
    async def cell(releases: Path) -> list[Any]:
        with Server(releases, rest_port=0, grpc_port=0) as server, Client(server.rest_url) as client:
            async with AsyncClient(server.grpc_url) as asynchronous:
                return wrong(client, 0) + await wrong_of_gathered(asynchronous, 0)

    assert asyncio.run(cell(warmed)) == []
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ServerStartError, match=r"'broken', version 1: "):
        asyncio.run(cell(tmp_path))
