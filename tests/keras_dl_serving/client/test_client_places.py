"""Clients in forked processes, in several event loops and threads, copied, and interrupted."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from keras_dl_serving import (
    AsyncClient,
    Client,
    DeadlineExceededError,
    InvalidRequestError,
    Server,
    ServerStartError,
)
from keras_dl_serving.server.settings import ServerSettings
from tests._support.certificates import certificate
from tests._support.forks import (
    in_children,
    spawned,
    wrong,
    wrong_around_a_fork_of_tasks,
    wrong_of_gathered,
)
from tests._support.served_models import save_scale

PROTOCOLS = ["rest_url", "grpc_url"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("places")
    save_scale(folder / "triple" / "1", 3.0)
    with Server(folder, rest_port=0, grpc_port=0) as running:
        yield running


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_async_client_used_before_a_fork(protocol: str, server: Server) -> None:
    assert spawned(wrong_around_a_fork_of_tasks, getattr(server, protocol)) == [[]] * 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_fork_while_the_loop_of_an_async_client_runs(protocol: str, server: Server) -> None:
    """The parent's calls succeed whatever the child does; gRPC calls are refused in the child."""

    async def ask() -> tuple[list[Any], list[Any]]:
        async with AsyncClient(getattr(server, protocol), timeout=20) as client:
            await client.predict("triple", [1.0])
            (found,) = in_children(lambda: asyncio.run(wrong_of_gathered(client, 1000)))
            return found, await wrong_of_gathered(client, 2000)

    childs, parents = asyncio.run(ask())
    assert parents == []
    if protocol == "rest_url":
        assert childs == []
    else:
        assert {type(each) for each in childs} == {InvalidRequestError}
        assert "spawn" in str(childs[0])


def test_a_fork_while_threads_call(server: Server) -> None:
    """The threads hold locks and connections that no thread of the child would release."""
    done = threading.Event()
    with Client(server.rest_url, timeout=20) as client, ThreadPoolExecutor(8) as threads:

        def ask(start: int) -> list[int]:
            found: list[int] = []
            while not done.is_set():
                found += wrong(client, start, 5)
            return found

        asking = [threads.submit(ask, 100 * number) for number in range(8)]
        try:
            for _ in range(5):
                assert in_children(lambda: wrong(client, 5000)) == [[]]
        finally:
            done.set()
        assert [each.result() for each in asking] == [[]] * 8


def around_a_fork_during_a_call(url: str) -> list[Any]:
    """What a child gets that is forked while a thread is in a blocking call of gRPC, and one forked later."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as threads:
        other = Client(f"grpc://127.0.0.1:{silent.getsockname()[1]}", timeout=2, retries=0)
        call = threads.submit(other.status, "m")
        connection, _ = silent.accept()  # the call is in flight
        with connection, Client(url, timeout=20) as client:
            found = in_children(lambda: wrong(client, 0))
            assert isinstance(call.exception(), DeadlineExceededError)
            return found + in_children(lambda: wrong(client, 0))


def test_grpc_is_refused_in_a_child_forked_during_a_call(server: Server) -> None:
    for _ in range(3):
        during, after = spawned(around_a_fork_during_a_call, server.grpc_url)
        if not isinstance(during, ChildProcessError):  # a thread of gRPC itself can end such a child
            break
    assert isinstance(during, InvalidRequestError)
    assert "spawn" in str(during)
    assert after == []


def test_a_closed_client_is_closed_in_children_and_a_childs_close_is_its_own(server: Server) -> None:
    client = Client(server.rest_url, timeout=20)
    client.predict("triple", [1.0])
    assert in_children(client.close) == [None]
    assert wrong(client, 0) == []
    client.close()
    (error,) = in_children(lambda: wrong(client, 0))
    assert isinstance(error, InvalidRequestError)
    with pytest.raises(InvalidRequestError, match="closed"):
        wrong(pickle.loads(pickle.dumps(client)), 0)


def test_an_iterator_begun_before_a_fork_is_refused_in_the_child(server: Server) -> None:
    with Client(server.rest_url, timeout=20) as client:
        answers = client.predict_batches("triple", ([float(x)] for x in range(20)), in_flight=2)
        assert next(answers)["y"].tolist() == [0.0]
        (error,) = in_children(lambda: list(answers))
        assert isinstance(error, InvalidRequestError)
        assert "predict_batches" in str(error)
        assert [each["y"].tolist() for each in answers] == [[3.0 * x] for x in range(1, 20)]


def test_one_client_in_the_loops_of_several_threads(server: Server) -> None:
    for protocol in PROTOCOLS:
        client = AsyncClient(getattr(server, protocol), timeout=20)

        def ask(start: int, client: AsyncClient = client) -> list[Any]:
            return asyncio.run(wrong_of_gathered(client, start))

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(ask, range(0, 4000, 1000))) == [[]] * 4
        asyncio.run(client.close())
        with pytest.raises(InvalidRequestError, match="closed"):
            asyncio.run(client.predict("triple", [1.0]))


def test_an_async_client_that_is_dropped_closes_its_connections(server: Server) -> None:
    import gc

    import psutil

    def connections() -> int:
        return sum(
            bool(each.raddr) and each.raddr.port == server.rest_port
            for each in psutil.Process().net_connections("tcp")
        )

    async def ask() -> int:
        client = AsyncClient(server.rest_url)
        await client.predict("triple", [1.0])
        opened = connections()
        del client
        gc.collect()
        await asyncio.sleep(0.1)
        return opened - connections()

    assert asyncio.run(ask()) == 1


def test_a_copy_reads_its_files_on_use(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(certificate()[1])
    client = Client("https://localhost:1", ca_file=ca)
    copied = pickle.dumps(client)
    ca.unlink()
    with pytest.raises(InvalidRequestError, match=r"in this process.*ca\.pem"):
        pickle.loads(copied).status("m")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_has_its_own_connections(copied: Callable[[Any], Any], server: Server) -> None:
    with Client(server.rest_url) as client:
        with copied(client) as other:
            assert wrong(other, 0, 3) == []
        assert wrong(client, 0, 3) == []

    async def ask() -> list[Any]:
        async with AsyncClient(server.rest_url) as client:
            async with copied(client) as other:
                found = await wrong_of_gathered(other, 0, 3)
            return found + await wrong_of_gathered(client, 0, 3)

    assert asyncio.run(ask()) == []


def test_answers_and_errors_are_pickled(server: Server) -> None:
    with Client(server.grpc_url) as client:
        metadata = client.metadata("triple")
        assert pickle.loads(pickle.dumps(metadata)) == metadata
        for name in ("nothing", ""):
            with pytest.raises(Exception, match="nothing|model") as caught:
                client.predict(name, [1.0])
            twin = pickle.loads(pickle.dumps(caught.value))
            assert type(twin) is type(caught.value)
            assert str(twin) == str(caught.value)
            assert twin.request == caught.value.request


def test_a_server_in_forked_processes(server: Server) -> None:
    """A child does not stop the parent's server; its own server serves REST and refuses gRPC."""
    assert server.releases

    def start(grpc_port: int | None) -> list[int]:
        with (
            Server(server.releases, rest_port=0, grpc_port=grpc_port) as mine,
            Client(mine.rest_url) as client,
        ):
            return wrong(client, 0)

    with Client(server.grpc_url) as client:
        assert wrong(client, 0) == []
        stopped, restarted, rest, grpc = in_children(
            server.stop, server.start, lambda: start(None), lambda: start(0)
        )
        assert stopped is True
        assert isinstance(restarted, ServerStartError)
        assert str(os.getpid()) in str(restarted)
        assert rest == []
        assert isinstance(grpc, ServerStartError)
        assert "grpc_port" in str(grpc)
        assert "spawn" in str(grpc)
        assert wrong(client, 0) == []


def of_a_child_that_outlives_its_parents_server(folder: str) -> list[str]:
    """Whether connections end and ports are free when a server stops whose process has a forked child."""
    socket_path = f"{folder}/socket"
    settings = ServerSettings(grpc_socket=Path(socket_path), rest_timeout=0.5)
    with Server(folder, rest_port=0, grpc_port=0, settings=settings) as server:
        assert server.rest_port
        assert server.grpc_port
        slow = socket.create_connection(("127.0.0.1", server.rest_port), timeout=20)
        slow.sendall(b"POST /v1/models/triple:predict HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        time.sleep(0.1)  # the server has it
        child = os.fork()
        if not child:
            slow.close()
            time.sleep(60)
            os._exit(0)
        try:
            found = [b" 504 " in slow.recv(99), *iter(lambda: slow.recv(2**16), b"")][:1]
            server.stop()
            for port in (server.rest_port, server.grpc_port):
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port), timeout=20)
            with socket.socket(socket.AF_UNIX) as unix, pytest.raises(OSError, match=r"refused|No such file"):
                unix.connect(socket_path)
            with Server(folder, rest_port=server.rest_port, grpc_port=None):
                return found
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)


def test_a_child_holds_neither_ports_nor_connections_of_its_parents_server(tmp_path: Path) -> None:
    save_scale(tmp_path / "triple" / "1", 3.0)
    assert spawned(of_a_child_that_outlives_its_parents_server, str(tmp_path)) == [True]
