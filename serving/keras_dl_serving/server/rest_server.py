"""Uvicorn in the event loop of the server."""

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

_KEEP_ALIVE_SECONDS = (
    75  # longer than the 60 s for which proxies keep a connection, so that the proxy closes it
)
_ALL = "::"
_MAX_HEAD_BYTES = 2**20
_MAX_MILLISECONDS = 2**31 - 1  # of TCP_USER_TIMEOUT


class RestServer:
    """Uvicorn with a socket of this server, so that the port is known and reserved before it starts.

    Args:
        app: the application.
        host: the address; `::` is every address, of IPv6 and IPv4.
        port: the port; 0 selects a free one.
        settings: the server's, of which timeouts and certificates are used.

    Raises:
        OSError: the port is in use.
        InvalidArgumentError: the certificates are invalid.
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
                # The kernel closes a connection whose peer acknowledges no data for this long. Connections
                # inherit the option.
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
        """Accept requests."""
        self._server = _Uvicorn(self._config)
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        await self._server.ready.wait()

    async def stop(self, seconds: float) -> None:
        """Wait for the requests in flight for so many seconds, then close the port."""
        if self._server:
            self._config.timeout_graceful_shutdown = int(seconds)
            self._server.should_exit = True
            await self._serving
        self._socket.close()
        self._app.close()


class _Http(HttpToolsProtocol):
    """Uvicorn's protocol on a transport that sends a response's head and body together.

    A client whose request head is too long, or is not complete in time, is disconnected. To cost nothing per
    request, connections are checked at intervals: a connection that is found reading the same head twice has
    timed out, after `seconds` on a new connection, and up to twice as many on a kept one.
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
        self._check_again(waiting=True)

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
        """Return whether to parse the last head again, without its offer of another protocol."""
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def head_without_offer(self) -> bytes:
        """Return the last head without that offer."""
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

    def _check_again(self, *, waiting: bool) -> None:
        if self._seconds is not None:
            self._timer = self.loop.call_later(self._seconds, self._look, self.cycle, waiting)

    def _look(self, last: object, waited: bool) -> None:
        idle = self.timeout_keep_alive_task is not None  # whose timeout is another
        waiting = not idle and (self.cycle is None or self.cycle.response_complete)
        if waiting and waited and self.cycle is last:
            self.transport.close()
        else:
            self._check_again(waiting=waiting)


class _Parser(httptools.HttpRequestParser):
    """A parser that declines an upgrade to another protocol, as a server may.

    Java's HttpClient and `curl --http2` offer HTTP/2 (`Upgrade: h2c`) with each request. httptools regards
    everything after such a head as the other protocol, even the body, so the request is parsed again without
    the offer.
    """

    def __init__(self, protocol: _Http) -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # As in uvicorn: a request after one that closes the connection is not an error.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if not self._protocol.declines_offer():
                raise
            head = self._protocol.head_without_offer()
            self._protocol.parser = _Parser(self._protocol)  # this request is done
            self._protocol.parser.feed_data(head + data[offer.args[0] :])


class _WritesTogether:
    """A transport that combines the writes within one turn of the event loop.

    Each single write would be a system call, and wake the client for a part of a response.
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
    """Uvicorn that reports when it accepts requests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.ready.set()
