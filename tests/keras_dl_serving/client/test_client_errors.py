"""The exceptions of clients and their texts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest

import keras_dl_serving
from keras_dl_serving import (
    AsyncClient,
    Client,
    Code,
    ConnectionFailedError,
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    ServingError,
)

X = np.float32([[1, 2, 3], [0.5, -1, 4]])


def test_invalid_inputs_are_not_sent(client: Client) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        client.predict("linear", {"z": X}, version=3)
    assert str(caught.value) == (
        "inputs: expected 'x': float32 (batch, 3); 'x' is missing and 'z' is unknown. "
        f"(predict of model 'linear', version 3 at {client.url})"
    )
    request = caught.value.request
    assert request is not None
    assert (request.model, request.version, request.method) == ("linear", 3, "predict")
    with pytest.raises(
        InvalidRequestError, match=r"signature_name: expected one of 'mean', 'serving_default', got 's'"
    ):
        client.predict("linear", X, signature_name="s")
    with pytest.raises(InvalidRequestError, match=r"outputs: expected names among 'total', 'y', got 'z'"):
        client.predict("linear", X, outputs=["y", "z"])
    with pytest.raises(InvalidRequestError, match="version, label: expected one of them"):
        client.predict("linear", X, version=1, label="stable")
    with pytest.raises(InvalidRequestError, match="model: expected the name of a model"):
        client.predict("", X)
    with pytest.raises(InvalidRequestError, match="model: expected the name of a model, got 3"):
        client.predict(3, X)  # type: ignore[arg-type]
    for version in (-1, "1", 2**63):
        with pytest.raises(InvalidRequestError, match="version: expected a whole number, got"):
            client.predict("linear", X, version=version)  # type: ignore[arg-type]


def test_errors_of_the_server_contain_status_and_request(client: Client) -> None:
    for call, kind, code, message in (
        (
            lambda: client.predict("m", X),
            NotFoundError,
            Code.NOT_FOUND,
            "Servable not found for request: Latest(m)",
        ),
        (
            lambda: client.predict("linear", X, version=9),
            NotFoundError,
            Code.NOT_FOUND,
            "Servable not found for request: Specific(linear, 9)",
        ),
        (
            lambda: client.metadata("linear", label="stable"),
            InvalidArgumentError,
            Code.INVALID_ARGUMENT,
            "Unrecognized servable version label: stable",
        ),
        (lambda: client.status("m"), NotFoundError, Code.NOT_FOUND, "Could not find any versions of model m"),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert isinstance(caught.value, ServingError)
        assert caught.value.status is code
        assert caught.value.message == message
        assert caught.value.request is not None
        assert caught.value.request.url == client.url
        assert message in str(caught.value)
        assert client.url in str(caught.value)


def test_messages_of_the_runtime_are_passed_on(client: Client) -> None:
    with pytest.raises(InvalidArgumentError, match="slice index 7 of dimension 0 out of bounds"):
        client.predict("two_inputs", {"image": np.ones((1, 2, 2)), "label": [7]}, signature_name="pick")


def test_names_are_quoted_in_urls(client: Client) -> None:
    for name in ("a b", "a/b", "../../etc", "caf\u00e9", "a%2fb", "a:predict"):
        with pytest.raises(NotFoundError) as caught:
            client.status(name)
        assert caught.value.message == f"Could not find any versions of model {name}"


@pytest.mark.parametrize("url", ["localhost:8501", "ftp://localhost", "http://", "grpc:localhost"])
def test_urls_of_another_kind(url: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=r"url: expected http://HOST:PORT for REST or grpc://"):
            kind(url)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_no_server(client_class: Any, scheme: str, closed_port: int) -> None:
    with client_class(f"{scheme}://localhost:{closed_port}", timeout=10) as client:
        with pytest.raises(ConnectionFailedError, match="The server cannot be reached") as caught:
            client.status("m")
        assert isinstance(caught.value, ConnectionError)
        with pytest.raises(
            NotReadyError, match=r"Not ready within 0.3 seconds: The server cannot be reached"
        ):
            client.wait_ready(timeout=0.3)


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield silent.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_server_that_does_not_answer(client_class: Any, scheme: str, silent_port: int) -> None:
    with client_class(f"{scheme}://localhost:{silent_port}", timeout=60) as client:
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError) as caught:
            client.status("m", timeout=0.3)
        assert time.monotonic() - began < 10
        assert isinstance(caught.value, TimeoutError)


@pytest.fixture
def other_server() -> Iterator[tuple[str, dict[str, tuple[int, bytes]]]]:
    """Another web server, with its responses by path."""
    answers: dict[str, tuple[int, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever)
        thread.start()
        yield f"http://localhost:{http_server.server_port}", answers
        http_server.shutdown()
        thread.join()


def test_invalid_responses_are_errors(client_class: Any, other_server: Any) -> None:
    url, answers = other_server
    path = "/v1/models/m"
    with client_class(url) as client:
        for status, body, kind, message in (
            (200, b"<html>", InternalError, "The server's answer is no JSON object: '<html>'"),
            (200, b"[]", InternalError, "The server's answer is no JSON object"),
            (200, b"{}", InternalError, "The server's answer is no status"),
            (502, b"<html>bad gateway", keras_dl_serving.UnknownError, "<html>bad gateway"),
            (503, b'{"error": "later"}', keras_dl_serving.UnavailableError, "later"),
            (418, b"", InvalidArgumentError, "I'm a Teapot"),
        ):
            answers[path] = (status, body)
            with pytest.raises(kind, match=message):
                client.status("m")
