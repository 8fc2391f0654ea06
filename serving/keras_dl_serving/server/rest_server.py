"""Uvicorn in the loop of the server."""

from __future__ import annotations

import asyncio
import math
import socket
import sys
from functools import partial
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keras_dl_serving.server import server_tls
from keras_dl_serving.server.rest_api import RestApi, cancel_request
from keras_dl_serving.server.settings import ServerSettings

_KEEP_ALIVE_SECONDS = 75  # above the 60 s for which proxies keep a connection, so that theirs end it
_ALL = "::"
_MAX_HEAD_BYTES = 2**20
_MAX_MILLISECONDS = 2**31 - 1  # of TCP_USER_TIMEOUT


class RestServer:
    """Uvicorn with a socket of ours, so that the port is known, and taken, before it starts.

    Args:
        app: what answers.
        host: the address; `::` is every one, of IPv6 and IPv4.
        port: the port; 0 takes a free one.
        settings: how long to wait, and which certificates there are.

    Raises:
        OSError: the port is not free.
        InvalidArgumentError: the certificates are none.
    """

    def __init__(self, app: RestApi, host: str, port: int, settings: ServerSettings) -> None:
        self._app = app
        context = server_tls.context(settings.rest_tls, "rest_tls") if settings.rest_tls else None
        if host == _ALL and not socket.has_dualstack_ipv6():
            host = "0.0.0.0"
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            if host == _ALL:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if settings.rest_timeout is not None and sys.platform == "linux":
                # Who takes nothing of a response for so long is let go by the system; connections inherit it.
                milliseconds = math.ceil(min(settings.rest_timeout * 1e3, _MAX_MILLISECONDS))
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
            self._socket.bind((host, port))
            self._socket.listen()
            self._config = uvicorn.Config(
                app,
                http=partial(_Http, settings.rest_timeout),  # type: ignore[arg-type]
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
            self._config.load()
            self._config.ssl = context
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
    """Uvicorn's protocol on a transport that takes a response's head and body together.

    A client that sends a head without end is let go, and so is one that does not get to its end. To cost
    nothing for each request, that is looked at once in a while: whoever is found waiting for the same
    request twice has had its time, which is `seconds` on a new connection, and up to twice as much on one
    that is kept.
    """

    def __init__(self, seconds: float | None, **options: Any) -> None:
        super().__init__(**options)
        self.parser = _Parser(self)
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_WritesTogether(transport, self.loop))  # type: ignore[arg-type]
        self._look_again(waiting=True)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > _MAX_HEAD_BYTES:
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        if not self.declines_offer():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        if not self.declines_offer():
            super().on_message_complete()

    def declines_offer(self) -> bool:
        """Whether the head that has just been read comes again, without the offer of another protocol."""
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def head_without_offer(self) -> bytes:
        """The head that has just been read, without that offer."""
        line = b"%b %b HTTP/%b" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        headers = (b"%b: %b" % header for header in self.headers if header[0] != b"upgrade")
        return b"\r\n".join([line, *headers, b"\r\n"])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)
        if self.cycle and not self.cycle.response_complete:
            cancel_request(self.cycle.scope)  # type: ignore[arg-type]

    def _look_again(self, *, waiting: bool) -> None:
        if self._seconds is not None:
            self._timer = self.loop.call_later(self._seconds, self._look, self.cycle, waiting)

    def _look(self, last: object, waited: bool) -> None:
        idle = self.timeout_keep_alive_task is not None  # which has a time of its own
        waiting = not idle and (self.cycle is None or self.cycle.response_complete)
        if waiting and waited and self.cycle is last:
            self.transport.close()
        else:
            self._look_again(waiting=waiting)


class _Parser(httptools.HttpRequestParser):
    """A parser that declines to change protocols, as a server may: the request is served as it is.

    Java's HttpClient and `curl --http2` offer HTTP/2 (`Upgrade: h2c`) with each request. httptools takes all
    that follows such a head for the other protocol, the body included, so the request is read once more
    without the offer.
    """

    def __init__(self, protocol: _Http) -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # As uvicorn has it: a request after one that asks to close the connection is no error.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if not self._protocol.declines_offer():
                raise
            head = self._protocol.head_without_offer()
            self._protocol.parser = _Parser(self._protocol)  # this one is done
            self._protocol.parser.feed_data(head + data[offer.args[0] :])


class _WritesTogether:
    """A transport that sends at once what is written within one turn of the loop.

    Each write by itself would be a call of the system, and wake the client for a part of a response.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self._send)
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
