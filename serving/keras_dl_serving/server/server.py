"""The embedded server: a releases folder served over REST and gRPC from threads of this process."""

from __future__ import annotations

import errno
import gc
import logging
import os
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import uvicorn

from keras_dl_serving.errors import ServerStartError
from keras_dl_serving.server import releases
from keras_dl_serving.server.core import Core
from keras_dl_serving.server.grpc import create_server
from keras_dl_serving.server.rest import RestApi

if TYPE_CHECKING:
    import grpc

_log = logging.getLogger("keras_dl_serving")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_STOP_SECONDS = 10.0


class Server:
    """TensorFlow Serving's REST and gRPC API over a folder of releases, in this process.

    Every `<name>/<version>/` below the folder is served, the newest version that loads by default. The
    folder is looked at again every `poll_seconds`: a new version is loaded before the old one is let go,
    and requests in flight finish on the version they began on. All work is done in threads; `start` returns
    when the models are loaded and the ports answer (in a coroutine: `await asyncio.to_thread(server.start)`).

        with Server("releases", rest_port=0, grpc_port=0) as server:
            Client(server.grpc_url).predict("digits", {"image": images})

    Args:
        releases: the folder.
        rest_port: the port for REST; 0 takes a free one, None is off.
        grpc_port: the port for gRPC, likewise.
        host: the address to listen on; `"0.0.0.0"` for all.
        poll_seconds: how often to look for new versions; None loads once.
        threads: how many requests run at once on each port; by default four per core.

    Raises:
        ValueError: a port or the polling time makes no sense.
    """

    def __init__(
        self,
        releases: str | os.PathLike[str],
        *,
        rest_port: int | None = 8501,
        grpc_port: int | None = 8500,
        host: str = "127.0.0.1",
        poll_seconds: float | None = 1.0,
        threads: int | None = None,
    ) -> None:
        for name, port in (("rest_port", rest_port), ("grpc_port", grpc_port)):
            if port is not None and not 0 <= port <= 65535:
                raise ValueError(
                    f"{name} must be a port number, 0 for a free one, or None for off, but is {port}."
                )
        if rest_port is None and grpc_port is None:
            raise ValueError("rest_port and grpc_port are both None: give at least one, 0 for a free port.")
        if rest_port == grpc_port != 0:
            raise ValueError(
                f"rest_port and grpc_port are both {rest_port}: give two ports, or 0 for free ones."
            )
        if poll_seconds is not None and poll_seconds <= 0:
            raise ValueError(f"poll_seconds must be positive, or None to load once, but is {poll_seconds}.")
        self.releases = Path(releases)
        self.host = host
        self.rest_port = rest_port
        self.grpc_port = grpc_port
        self._asked_ports = (rest_port, grpc_port)
        self._poll_seconds = poll_seconds
        self._threads = threads or 4 * (os.cpu_count() or 1)
        self._core = Core()
        self._rest: _RestThread | None = None
        self._grpc: grpc.Server | None = None
        self._poller: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def rest_url(self) -> str:
        """Where the REST API is, such as `http://localhost:8501`."""
        return f"http://{self._host_name}:{_known(self.rest_port, 'rest_port')}"

    @property
    def grpc_url(self) -> str:
        """Where the gRPC API is, such as `grpc://localhost:8500`."""
        return f"grpc://{self._host_name}:{_known(self.grpc_port, 'grpc_port')}"

    @property
    def _host_name(self) -> str:
        if self.host in (*_LOOPBACK, "0.0.0.0", "::"):
            return "localhost"
        return f"[{self.host}]" if ":" in self.host else self.host

    def start(self) -> Self:
        """Load the models and open the ports.

        Raises:
            ServerStartError: the folder has nothing to serve, or a port is taken. Nothing keeps running.
        """
        if self._rest or self._grpc:
            raise ServerStartError("This server is running already.")
        if problem := releases.explain_nothing_found(self.releases):
            raise ServerStartError(f"Nothing to serve: {problem}.")
        self._stopping.clear()
        try:
            self._open_ports()
            self._look()
            self._answer()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close the ports, let requests in flight finish, unload the models. May be called twice."""
        self._stopping.set()
        if self._poller:
            self._poller.join()
        if self._grpc:
            self._grpc.stop(_STOP_SECONDS).wait()
        if self._rest:
            self._rest.stop()
        self._poller = self._grpc = self._rest = None
        self._core.close()
        gc.unfreeze()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _open_ports(self) -> None:
        # Before the models are loaded, which may take long, so that a taken port is known at once.
        rest_port, grpc_port = self._asked_ports
        if rest_port is not None:
            try:
                self._rest = _RestThread(RestApi(self._core, self._threads), self.host, rest_port)
            except OSError as error:
                raise _port_error("rest_port", self.host, rest_port, error) from error
            self.rest_port = self._rest.port
        if grpc_port is not None:
            address = f"[{self.host}]" if ":" in self.host else self.host
            try:
                self._grpc, self.grpc_port = create_server(
                    self._core, f"{address}:{grpc_port}", self._threads
                )
            except OSError as error:
                raise _port_error("grpc_port", self.host, grpc_port, error) from error

    def _answer(self) -> None:
        if self._rest:
            self._rest.start()
        if self._grpc:
            self._grpc.start()
        if self._poll_seconds is not None:
            self._poller = threading.Thread(target=self._poll, name="keras_dl_releases", daemon=True)
            self._poller.start()

    def _look(self) -> None:
        if self._core.serve(releases.scan(self.releases)):
            # A loaded TensorFlow is millions of objects, which every full collection would walk through;
            # parsing large JSON triggers many. Frozen, they are left alone; thawed first, what has been
            # unloaded is collected.
            gc.unfreeze()
            gc.collect()
            gc.freeze()

    def _poll(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            try:
                self._look()
            except Exception:
                _log.exception("Looking for new releases in %s failed", self.releases)


class _RestThread:
    """Uvicorn in a thread with a socket of ours, so that the port is known, and taken, before it starts."""

    def __init__(self, app: RestApi, host: str, port: int) -> None:
        self._app = app
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen()
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=int(_STOP_SECONDS),
        )
        self._server = _Uvicorn(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="keras_dl_rest", daemon=True
        )

    def start(self) -> None:
        self._thread.start()
        self._server.ready.wait()

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
        self._app.close()


class _Uvicorn(uvicorn.Server):
    """Uvicorn that says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.ready.set()


def _known(port: int | None, name: str) -> int:
    if not port:
        raise ServerStartError(
            f"{name} is {port}: it has no address {'yet' if port == 0 else 'as it is off'}."
        )
    return port


def _port_error(name: str, host: str, port: int, error: OSError) -> ServerStartError:
    if error.errno in (errno.EADDRINUSE, None):
        return ServerStartError(
            f"{name} {port} on {host} is in use by another program: stop that one, give another port, or "
            f"give 0 to take a free one ({error})."
        )
    return ServerStartError(f"{name} {port} on {host} cannot be opened: {error}.")
