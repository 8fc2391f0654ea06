"""Timeouts of whole calls, against slow peers of every kind."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from keras_dl_serving import Client, DeadlineExceededError, InvalidRequestError, NotReadyError, Server
from tests._support.peers import RestModel, rest_peer, trickling_peer

HEADERS = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nx: ", HEADERS], ids=["headers", "body"])
def test_a_peer_that_trickles(client_class: Any, head: bytes) -> None:
    with trickling_peer(head) as url, client_class(url) as client:
        with within(2.5), pytest.raises(DeadlineExceededError, match=r"No answer within 0.5 seconds"):
            client.status("m", timeout=0.5)
        with within(3), pytest.raises(NotReadyError, match=r"Not ready within 0.5 seconds: No answer"):
            client.wait_ready("m", timeout=0.5)


def test_a_peer_that_reads_nothing(client_class: Any) -> None:
    """The peer returns the metadata and never reads the prediction."""
    model = RestModel()
    metadata = model.answer("/v1/models/m/metadata", b"")[1]

    def serve() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            connections.append(connection)
            if len(connections) == 1:
                connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
                    % (len(metadata), metadata)
                )

    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        with (
            client_class(f"http://127.0.0.1:{listener.getsockname()[1]}") as client,
            within(10),
            pytest.raises(DeadlineExceededError),
        ):
            client.predict("m", np.full(4_000_000, 1.25, np.float32), timeout=2)
    for connection in connections:
        connection.close()


def test_the_first_try_does_not_use_the_whole_timeout(client_class: Any) -> None:
    """A server that accepts connections before it responds."""
    asked, over = threading.Event(), threading.Event()
    model = b'{"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {}}]}'

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        if not asked.is_set():
            asked.set()
            over.wait(20)
        return 200, model

    with rest_peer(answer) as url, client_class(url, timeout=0.3) as client, within(1.5):
        client.wait_ready("m", timeout=60)
        over.set()


@pytest.mark.parametrize("timeout", [math.inf, 1e300, np.float32(30)])
def test_a_timeout_without_limit(client_class: Any, protocol: str, triple: Server, timeout: Any) -> None:
    with client_class(getattr(triple, protocol), timeout=timeout) as client:
        assert client.predict("triple", [1.0])["y"].tolist() == [3.0]
        assert client.predict("triple", [1.0], timeout=timeout)["y"].tolist() == [3.0]
        client.wait_ready("triple", timeout=timeout)
    with client_class(getattr(triple, protocol), timeout=None) as client:
        client.wait_ready("triple", timeout=None)
        client.wait_ready(timeout=None)


@pytest.mark.parametrize("timeout", [0, -1, math.nan, "soon", []])
def test_an_invalid_timeout_is_rejected(protocol: str, triple: Server, timeout: Any) -> None:
    message = "timeout: expected seconds above 0, or None, got "
    with pytest.raises(InvalidRequestError, match=message):
        Client(getattr(triple, protocol), timeout=timeout)
    with Client(getattr(triple, protocol)) as client:
        for ask in (
            lambda: client.predict("triple", [1.0], timeout=timeout),
            lambda: client.classify("triple", [{}], timeout=timeout),
            lambda: client.status("triple", timeout=timeout),
        ):
            with pytest.raises(InvalidRequestError, match=message) as caught:
                ask()
            assert caught.value.request is not None
            assert caught.value.request.model == "triple"
    with Client(getattr(triple, protocol)) as client, pytest.raises(NotReadyError):
        client.wait_ready("nothing", timeout=0)
