"""Retries, connections, and the ways to connect."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from keras_dl_serving import (
    AsyncClient,
    Client,
    ConnectionFailedError,
    DeadlineExceededError,
    Server,
    UnavailableError,
)
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.settings import ServerSettings
from tests._support.certificates import certificate

# ---- a server that fails at first


@pytest.fixture
def faulty() -> Iterator[tuple[dict[str, str], list[int], list[str]]]:
    """The URLs of a REST and a gRPC server, the pending HTTP statuses, and the received requests."""
    statuses: list[int] = []
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("authorization", ""))
            status = statuses.pop(0)
            if not status:
                self.close_connection = True  # hang up
                return
            body = b'{"error": "busy"}' if status != 200 else b'{"model_version_status": []}'
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    def status(request: bytes, context: grpc.ServicerContext) -> bytes:
        asked.append(dict(context.invocation_metadata()).get("authorization", ""))
        status = statuses.pop(0)
        if status != 200:
            unknown = grpc.StatusCode.UNKNOWN
            codes = {503: grpc.StatusCode.UNAVAILABLE, 499: grpc.StatusCode.CANCELLED}
            context.abort(codes.get(status, unknown), "busy")
        return b""

    rpc = grpc.server(ThreadPoolExecutor(2))
    methods = {
        name: grpc.unary_unary_rpc_method_handler(status)
        for name in ("GetModelStatus", "HandleReloadConfigRequest")
    }
    rpc.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", methods),)
    )
    grpc_port = rpc.add_insecure_port("127.0.0.1:0")
    rpc.start()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        urls = {
            "rest_url": f"http://127.0.0.1:{http.server_port}",
            "grpc_url": f"grpc://127.0.0.1:{grpc_port}",
        }
        yield urls, statuses, asked
        http.shutdown()
        thread.join()
    rpc.stop(0).wait()


def test_calls_of_busy_servers_are_retried(client_class: Any, protocol: str, faulty: Any) -> None:
    urls, statuses, asked = faulty
    with client_class(urls[protocol], headers={"Authorization": "Bearer t"}) as client:
        statuses[:] = [503, 499, 200]
        assert client.status("m") == []
        assert asked == ["Bearer t"] * 3
        statuses[:] = [503] * 4
        with pytest.raises(UnavailableError, match="busy"):
            client.status("m")
        assert len(statuses) == 1
        statuses[:] = [500, 200]
        with pytest.raises(Exception, match="busy"):
            client.status("m")
        assert statuses == [200]  # other errors are final
    with client_class(urls[protocol], retries=0) as client:
        statuses[:] = [503, 200]
        with pytest.raises(UnavailableError):
            client.status("m")


def test_calls_are_retried_after_a_closed_connection(client_class: Any, faulty: Any) -> None:
    urls, statuses, _ = faulty
    with client_class(urls["rest_url"]) as client:
        statuses[:] = [0, 200]
        assert client.status("m") == []
        statuses[:] = [0] * 3
        with pytest.raises(ConnectionFailedError):
            client.status("m")


def test_the_timeout_holds_for_all_tries_together(client_class: Any, protocol: str, faulty: Any) -> None:
    urls, statuses, _ = faulty
    statuses[:] = [503] * 100
    with client_class(urls[protocol], retries=99) as client:
        began = time.monotonic()
        with pytest.raises((UnavailableError, DeadlineExceededError)):
            client.status("m", timeout=0.5)
        assert time.monotonic() - began < 5
        assert len(statuses) > 90  # the pauses grow


def test_a_reload_is_never_retried(client_class: Any, faulty: Any) -> None:
    urls, statuses, _ = faulty
    statuses[:] = [503, 200]
    with client_class(urls["grpc_url"]) as client, pytest.raises(UnavailableError):
        client.reload_config("model_config_list {}")
    assert statuses == [200]


# ---- ways to connect


def test_a_unix_socket(client_class: Any, triple: Server) -> None:
    assert triple.releases
    with client_class(f"unix://{triple.releases / 'socket'}") as client:
        assert client.predict("triple", [2.0])["y"].tolist() == [6.0]


def test_mutual_tls(client_class: Any, triple: Server, tmp_path: Path) -> None:
    key, cert = certificate()
    files = {"cert_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem"}
    files["cert_file"].write_text(cert)
    files["key_file"].write_text(key)
    tls = messages.SSLConfig(server_key=key, server_cert=cert, custom_ca=cert, client_verify=True)
    settings = ServerSettings(grpc_tls=tls, rest_tls=tls)
    ca = files["cert_file"]
    with Server(triple.releases, rest_port=0, grpc_port=0, settings=settings) as server:
        for url in (server.rest_url, server.grpc_url):
            with client_class(url, ca_file=ca, **files) as client:
                assert client.predict("triple", [2.0])["y"].tolist() == [6.0]
            for options in ({"ca_file": ca}, {}):
                with (
                    client_class(url, retries=0, timeout=20, **options) as client,
                    pytest.raises(ConnectionFailedError, match="The server cannot be reached"),
                ):
                    client.status("triple")


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("grpc://localhost:1", {"ca_file": "ca.pem"}, "expected a URL with TLS, got 'grpc://localhost:1'"),
        ("https://localhost:1", {"cert_file": "c.pem"}, "cert_file, key_file: expected both or neither"),
        ("http://localhost:99999", {}, "Port out of range"),
        ("http://localhost:1", {"retries": -1}, "retries: expected 0 or more, got -1"),
        ("http://localhost:1", {"timeout": 0}, "timeout: expected seconds above 0, or None, got 0"),
    ],
)
def test_invalid_options(url: str, options: dict[str, Any], message: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=message):
            kind(url, **options)


def test_connections_are_kept(protocol: str, triple: Server) -> None:
    """Count the connections of the process: any number of calls, one connection."""
    import psutil

    def connections() -> int:
        port = triple.rest_port if protocol == "rest_url" else triple.grpc_port
        return sum(
            bool(each.raddr) and each.raddr.port == port for each in psutil.Process().net_connections("tcp")
        )

    with Client(getattr(triple, protocol)) as client:
        for _ in range(5):
            client.predict("triple", [1.0])
        assert connections() == 1


def test_a_canceled_call_ends(triple: Server, protocol: str) -> None:
    async def ask() -> list[float]:
        async with AsyncClient(getattr(triple, protocol)) as client:
            call = asyncio.create_task(client.predict("triple", [1.0]))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            answer: list[float] = (await client.predict("triple", [1.0]))["y"].tolist()
            return answer

    assert asyncio.run(ask()) == [3.0]
