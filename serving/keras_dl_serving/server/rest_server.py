"""Uvicorn in the loop of the server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import tempfile
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keras_dl_serving.server.rest import RestApi
from keras_dl_serving.wire import messages


class RestServer:
    """Uvicorn with a socket of ours, so that the port is known, and taken, before it starts.

    Args:
        app: what answers.
        host: the address.
        port: the port; 0 takes a free one.
        tls: keys and certificates; none is plain HTTP.

    Raises:
        OSError: the port is not free, or the certificates are none.
    """

    def __init__(self, app: RestApi, host: str, port: int, tls: messages.SSLConfig | None = None) -> None:
        self._app = app
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen()
            self._config = uvicorn.Config(
                app,
                http=_Http,
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                proxy_headers=False,
            )
            self._config.load()
            self._config.ssl = _context(tls) if tls else None
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._server: _Uvicorn | None = None

    async def start(self) -> None:
        """Answer."""
        self._server = _Uvicorn(self._config)
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        await self._server.ready.wait()

    async def stop(self, seconds: float) -> None:
        """Let requests in flight finish for so long, then close the port."""
        if self._server:
            self._config.timeout_graceful_shutdown = int(seconds)
            self._server.should_exit = True
            await self._serving
        self._socket.close()
        self._app.close()


class _Http(HttpToolsProtocol):
    """Uvicorn's protocol on a transport that takes a response's head and body together."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_WritesTogether(transport))  # type: ignore[arg-type]


class _WritesTogether:
    """A transport that sends at once what is written within one turn of the loop.

    Each write by itself would be a call of the system, and wake the client for a part of a response.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._send)
        self._waiting.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._waiting:
            self._transport.writelines(self._waiting)
            self._waiting = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Uvicorn(uvicorn.Server):
    """Uvicorn that says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.ready.set()


def _context(tls: messages.SSLConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A context takes its own certificate from files alone.
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, text in (("key", tls.server_key), ("cert", tls.server_cert)):
            (folder / name).write_text(text)
        context.load_cert_chain(folder / "cert", folder / "key")
    if tls.custom_ca:
        context.load_verify_locations(cadata=tls.custom_ca)
    if tls.client_verify:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
