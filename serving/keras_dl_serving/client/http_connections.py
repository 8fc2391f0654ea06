"""HTTP for the REST transport: connections are kept, and a deadline holds for a whole exchange.

httpcore starts a timeout anew at each step, so that a server that sends a byte now and then could hold a call
forever. Tasks are cancelled by asyncio's clock. For threads, the timeouts that httpcore passes on are points
in time, which `_Stream` converts into the remaining seconds.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import httpcore

from keras_dl_serving.client.client_tls import context_of
from keras_dl_serving.client.transport import Connection
from keras_dl_serving.client.waiting import AT_ONCE, Slots, deadline_after, deadline_exceeded
from keras_dl_serving.errors import ConnectionFailedError, Request
from keras_dl_serving.tls import TLS

_IDLE_SECONDS = 5.0
_SENT_AT_ONCE = 2**16
_SWAPPED = "Is this the REST port, and does it speak TLS (https://) or not (http://)?"
_LOCAL = ("localhost", "127.0.0.1", "::1")
_Options = Iterable[Any] | None


class Answer(NamedTuple):
    """An answer: its status, reason phrase and body."""

    status: int
    reason: str
    content: bytes


class HttpConnections:
    """The connections of one client to one server.

    Args:
        url: the server's, with an optional path prefix.
        connection: TLS and headers.
        blocking: whether threads call, instead of tasks of one event loop.

    Raises:
        ValueError: a certificate or key is invalid, or the environment names a proxy that cannot be used.
        OSError: a certificate or key cannot be read.
    """

    def __init__(self, url: str, connection: Connection, *, blocking: bool) -> None:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        self._url = (parts.scheme.encode(), host, parts.port)
        self._path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        self._headers = _headers(url, connection)
        self._blocking = blocking
        self._slots = Slots(AT_ONCE, blocking=blocking)
        # httpcore's pools can lose the connections of interrupted or cancelled calls, and each call searches
        # them all. Here a pool holds one connection, and is closed after a call that failed.
        pool: Any = _Pool if blocking else httpcore.AsyncConnectionPool
        self._open: Callable[[], Any] = partial(
            pool,
            # Without TLS, no certificates are loaded, which would take longer than the first request.
            ssl_context=context_of(connection.tls or TLS()) if parts.scheme == "https" else None,
            proxy=_proxy(parts.scheme, host.decode()),
            max_connections=1,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=_Backend() if blocking else None,
        )
        self._connections: set[Any] = set()
        self._idle: deque[tuple[Any, float]] = (
            deque()
        )  # with the time since when; the last used is at the end

    async def ask(
        self, method: str, path: str, request: Request, timeout: float | None, body: bytes | None = None
    ) -> Answer:
        """Send a request and wait for the whole answer.

        Args:
            method: the HTTP method.
            path: the quoted path.
            request: the request, for errors.
            timeout: seconds for the whole exchange.
            body: JSON.

        Raises:
            DeadlineExceededError: the timeout passed.
            ConnectionFailedError: the connection failed or broke.
        """
        deadline = deadline_after(timeout)
        scheme, host, port = self._url
        url = httpcore.URL(scheme=scheme, host=host, port=port, target=(self._path + path).encode())
        headers = self._headers if body is None else [*self._headers, (b"Content-Type", b"application/json")]
        try:
            async with self._slots.taken(timeout, request), self._connection() as connection:
                if self._blocking:
                    steps = dict.fromkeys(("connect", "read", "write"), deadline)
                    response = connection.request(
                        method, url, headers=headers, content=body, extensions={"timeout": steps}
                    )
                else:
                    async with asyncio.timeout_at(_loop_time(deadline)):
                        response = await connection.request(method, url, headers=headers, content=body)
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise deadline_exceeded(timeout, request) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError) as error:
            hint = ""
            if isinstance(error, httpcore.RemoteProtocolError) or "WRONG_VERSION_NUMBER" in str(error):
                hint = f" {_SWAPPED}"
            raise ConnectionFailedError(
                f"The server cannot be reached: {str(error).rstrip('.')}.{hint}", request=request
            ) from error
        return Answer(
            response.status, response.extensions.get("reason_phrase", b"").decode("latin-1"), response.content
        )

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """Yield a connection for one exchange; it is kept if the exchange completes."""
        try:
            connection, _ = self._idle.pop()
        except IndexError:
            connection = self._open()
            self._connections.add(connection)
        try:
            yield connection
        except BaseException:  # on an interrupt, too: the rest of the answer belongs to no other call
            await self._end(connection)
            raise
        self._idle.append((connection, time.monotonic()))
        with suppress(IndexError):  # another thread may have been first
            while self._idle[0][1] < time.monotonic() - _IDLE_SECONDS:
                await self._end(self._idle.popleft()[0])

    async def _end(self, connection: Any) -> None:
        self._connections.discard(connection)
        if self._blocking:
            connection.close()
        else:
            await connection.aclose()

    async def close(self) -> None:
        """Close the connections."""
        self._idle.clear()
        for connection in list(self._connections):
            await self._end(connection)


def _loop_time(deadline: float | None) -> float | None:
    # The two clocks may differ.
    return None if deadline is None else asyncio.get_running_loop().time() + deadline - time.monotonic()


def _headers(url: str, connection: Connection) -> list[tuple[bytes, bytes]]:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    host = (parts.hostname or "").encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    headers = {
        "Host": host if parts.port is None else f"{host}:{parts.port}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "keras_dl",
    }
    if at:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
    given = {name.lower() for name in connection.headers}
    kept = {name: value for name, value in headers.items() if name.lower() not in given}
    return [(name.encode(), value.encode()) for name, value in {**kept, **connection.headers}.items()]


def _proxy(scheme: str, host: str) -> httpcore.Proxy | None:
    """Return the proxy that the environment names for a host; None for the local machine."""
    if host in _LOCAL or urllib.request.proxy_bypass(host):
        return None
    known = urllib.request.getproxies()
    name = scheme if scheme in known else "all"
    if not (proxy := known.get(name)):
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme not in ("http", "https", "socks5", "socks5h") or not parts.hostname:
        raise ValueError(
            f"{name.upper()}_PROXY: expected an http, https or socks5 URL, got {proxy!r}. Unset it, or name "
            "the server's host in NO_PROXY."
        )
    if parts.scheme.startswith("socks5") and find_spec("socksio") is None:
        raise ValueError(
            f"{name.upper()}_PROXY: {proxy!r} is a SOCKS proxy, which needs the package socksio. Install it, "
            "or name the server's host in NO_PROXY."
        )
    auth = (unquote(parts.username or ""), unquote(parts.password or "")) if parts.username else None
    port = f":{parts.port}" if parts.port else ""
    return httpcore.Proxy(f"{parts.scheme}://{parts.hostname}{port}", auth=auth)


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time is up")
    return left


class _Pool(httpcore.ConnectionPool):
    """A pool that one thread at a time uses, so that it requires no lock.

    httpcore's lock stays locked after an interrupt (Ctrl-C) at the wrong moment, and the cleanup that follows
    would wait for it forever.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._optional_thread_lock: Any = nullcontext()


class _Backend(httpcore.SyncBackend):
    """A backend that opens connections until a deadline."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(host, port, _left(timeout), local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """A connection whose steps end at a deadline."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pieces = memoryview(buffer)
        for start in range(0, len(buffer), _SENT_AT_ONCE):
            self._stream.write(pieces[start : start + _SENT_AT_ONCE], _left(timeout))  # type: ignore[arg-type]

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
