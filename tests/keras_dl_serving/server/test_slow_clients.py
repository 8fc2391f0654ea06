"""Slow connections, and their time limits."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from keras_dl_serving import Server
from keras_dl_serving.server.settings import ServerSettings
from tests._support.served_models import save_scale

HEAD = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\n"
BODY = b'{"instances": [1.0]}'
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server that limits a request to half a second and 1,000 bytes."""
    folder = tmp_path_factory.mktemp("impatient")
    save_scale(folder / "m" / "1", 2)
    settings = ServerSettings(rest_timeout=0.5, max_body_bytes=1000)
    with Server(folder, rest_port=0, grpc_port=None, settings=settings) as server:
        yield server


@contextlib.contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("localhost", server.rest_port or 0), timeout=20) as connection:
        yield connection


def until_closed(connection: socket.socket, trickle: bytes = b"") -> tuple[bytes, float]:
    """Send a byte repeatedly until the server closes; return its response and the seconds."""
    began = time.monotonic()
    connection.settimeout(0.05)
    received = b""
    while time.monotonic() < began + 20:
        with contextlib.suppress(ConnectionError):
            connection.sendall(trickle)
        try:
            if not (data := connection.recv(65536)):
                return received, time.monotonic() - began
            received += data
        except TimeoutError:
            continue
        except ConnectionError:
            return received, time.monotonic() - began
    raise AssertionError(f"still open after 20 s, having received {received!r}")


def test_a_client_whose_body_trickles_is_disconnected_with_a_response(impatient: Server) -> None:
    with connected(impatient) as connection:
        connection.sendall(HEAD + b"Content-Length: 900\r\n\r\n")
        answer, seconds = until_closed(connection, b"x")
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert (
        answer.endswith(b'{ "error": "The request took longer than 0.5 seconds" }')
        or b"0.5 seconds" in answer
    )
    assert 0.4 < seconds < 10


def test_a_client_whose_body_is_too_large_is_disconnected_with_a_response(impatient: Server) -> None:
    with connected(impatient) as connection:
        connection.sendall(HEAD + b"Content-Length: 2000\r\n\r\n" + bytes(1001))
        answer, seconds = until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert b"The body is larger than 1000 bytes" in answer
    assert seconds < 10


def test_a_client_that_sends_far_too_much_receives_the_reason(impatient: Server) -> None:
    answer = httpx.post(f"{impatient.rest_url}/v1/models/m:predict", content=bytes(10_000_000), timeout=20)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


@pytest.mark.parametrize(
    ("kept", "began", "trickle"),
    [(False, b"", b""), *((kept, HEAD[:20], trickle) for kept in (False, True) for trickle in (b"", b"x"))],
)
def test_a_connection_without_a_head_is_closed(
    impatient: Server, kept: bool, began: bytes, trickle: bytes
) -> None:
    with connected(impatient) as connection:
        if kept:
            connection.sendall(REQUEST)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(began)
        answer, seconds = until_closed(connection, trickle)
    assert not answer
    assert 0.4 < seconds < 10


def test_a_connection_that_is_kept_may_be_idle_for_longer_than_a_request(impatient: Server) -> None:
    with connected(impatient) as connection:
        for _ in range(3):
            connection.sendall(REQUEST)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            time.sleep(1.2)
        # A head that takes a moment is not a missing head.
        connection.sendall(REQUEST[:30])
        time.sleep(0.2)
        connection.sendall(REQUEST[30:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_connection_is_kept_for_longer_than_proxies_do(impatient: Server) -> None:
    assert impatient._rest
    assert impatient._rest._config.timeout_keep_alive == 75


def test_without_a_limit_a_request_may_take_any_time(tmp_path: Path) -> None:
    save_scale(tmp_path / "m" / "1", 2)
    settings = ServerSettings(rest_timeout=None)
    with (
        Server(tmp_path, rest_port=0, grpc_port=None, settings=settings) as server,
        connected(server) as connection,
    ):
        connection.sendall(REQUEST[:30])
        time.sleep(0.3)
        connection.sendall(REQUEST[30:-1])
        time.sleep(0.3)
        connection.sendall(REQUEST[-1:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux closes a connection whose peer reads nothing")
@pytest.mark.parametrize("reads", [False, True])
def test_a_response_is_kept_for_a_client_that_reads_it(tmp_path: Path, reads: bool) -> None:
    """The kernel buffers a part of the 14 MB; the rest stays in the memory of the server."""
    save_scale(tmp_path / "m" / "1", 2)
    body = b'{"instances": [' + b"0.12345678, " * 1_200_000 + b"1.0]}"
    with (
        Server(tmp_path, rest_port=0, grpc_port=None, settings=ServerSettings(rest_timeout=6.0)) as server,
        socket.socket() as connection,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**17)
        connection.settimeout(20)
        connection.connect(("localhost", server.rest_port or 0))
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        taken = 0
        for _ in range(60):
            time.sleep(0.2)
            if reads:
                taken += len(connection.recv(2**16))
        with contextlib.suppress(ConnectionError, TimeoutError):
            while data := connection.recv(2**20):
                taken += len(data)
                connection.settimeout(1)
    assert taken > 12_000_000 if reads else taken < 8_000_000


def test_a_limit_may_have_any_length(tmp_path: Path) -> None:
    save_scale(tmp_path / "m" / "1", 2)
    with (
        Server(tmp_path, rest_port=0, grpc_port=None, settings=ServerSettings(rest_timeout=1e8)) as server,
        connected(server) as connection,
    ):
        connection.sendall(REQUEST)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_whose_head_never_ends_is_disconnected(triple: Server) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1000) for number in range(2**14))
    with connected(triple) as connection, pytest.raises(ConnectionError):
        connection.sendall(HEAD + lines)


def test_the_limit_of_a_head_does_not_apply_to_the_connection(triple: Server) -> None:
    body = b'{"instances": [' + b"1.0, " * 2_000 + b"1.0]}"
    head = HEAD.replace(b"/m:", b"/triple:") + b"Content-Length: %d\r\n\r\n" % len(body)
    with connected(triple) as connection:
        for _ in range(150):
            connection.sendall(head + body)  # at once, as fast clients do
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, len(json.loads(answer.read())["predictions"])) == (200, 2001)
