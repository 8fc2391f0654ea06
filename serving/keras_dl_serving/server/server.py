"""The server: REST and gRPC from threads of this process."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from keras_dl_serving import grpc_forks
from keras_dl_serving.errors import ServerStartError, StatusError
from keras_dl_serving.protocol.text_files import read_file
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server import inherited, releases
from keras_dl_serving.server.core import Core
from keras_dl_serving.server.event_loop import EventLoop
from keras_dl_serving.server.grpc_api import GrpcApi
from keras_dl_serving.server.grpc_server import GrpcServer
from keras_dl_serving.server.lifecycle import Lifecycle, Poller
from keras_dl_serving.server.metrics import Metrics
from keras_dl_serving.server.model_configs import ModelConfig, local_path, model_configs
from keras_dl_serving.server.rest_api import RestApi
from keras_dl_serving.server.rest_server import RestServer
from keras_dl_serving.server.settings import ServerSettings
from keras_dl_serving.tls import TLS

_STOP_SECONDS = 10.0
_POLLER_SECONDS = 1.0  # for the poller to end, if it is not loading
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Server:
    """A server with TensorFlow Serving's REST and gRPC APIs, in this process.

    Every model `<name>/<version>/` in the folder is served, by default its newest version that loads. The
    folder is polled every `poll_seconds`: a new version is loaded before the old one is unloaded, and a
    request finishes on the version on which it started. All work is done in threads; `start` returns when
    the models are loaded and the ports answer (in a coroutine: `await asyncio.to_thread(server.start)`).

        with Server("releases", rest_port=0, grpc_port=0) as server:
            Client(server.grpc_url).predict("digits", {"image": images})

    Args:
        releases: the folder of releases; None with `models` or `config_file`.
        rest_port: the port for REST; 0 selects a free one, None is off.
        grpc_port: the port for gRPC, likewise.
        host: the address to listen on; `"::"` for all of IPv6 and IPv4, `"0.0.0.0"` for all of IPv4.
        poll_seconds: seconds between polls for new versions; None loads once.
        threads: how many requests run at once on each port; by default four per core.
        models: the models to serve, instead of a folder of releases.
        config_file: a file that lists the models, TensorFlow Serving's `models.config`.
        config_poll_seconds: seconds between reads of that file; None reads it once.
        require_models: whether `start` fails when a model has no version that loads; False logs it and serves
            the other models.
        tls: certificates for both ports, which then accept connections with TLS alone.
        settings: everything else: batching, labels, metrics, ...

    Raises:
        UnimplementedError: the folder is in a file system of another kind, such as `s3://`.
        ValueError: a port or the polling time is invalid, or not exactly one of `releases`, `models` and
            `config_file` is passed.
    """

    def __init__(
        self,
        releases: str | os.PathLike[str] | None = None,
        *,
        rest_port: int | None = 8501,
        grpc_port: int | None = 8500,
        host: str = "127.0.0.1",
        poll_seconds: float | None = 1.0,
        threads: int | None = None,
        models: Sequence[ModelConfig] = (),
        config_file: str | os.PathLike[str] | None = None,
        config_poll_seconds: float | None = None,
        require_models: bool = True,
        tls: TLS | None = None,
        settings: ServerSettings | None = None,
    ) -> None:
        if sum((releases is not None, bool(models), config_file is not None)) != 1:
            raise ValueError(
                "releases, models, config_file: expected one of them. Pass the one that lists what to serve."
            )
        if not all(isinstance(model, ModelConfig) for model in models):
            raise TypeError(
                f"models: expected a sequence of ModelConfig, got {models!r:.80}. "
                "Pass ModelConfig(name, base_path) for each model."
            )
        for name, port in (("rest_port", rest_port), ("grpc_port", grpc_port)):
            if port is not None and not 0 <= port <= 65535:
                raise ValueError(
                    f"{name}: expected a port number, 0 for a free one, or None for off, got {port}."
                )
        if rest_port is None and grpc_port is None:
            raise ValueError(
                "rest_port, grpc_port: expected at least one port, got None for both. Pass 0 for a free one."
            )
        if rest_port == grpc_port != 0:
            raise ValueError(
                f"rest_port, grpc_port: expected two ports, got {rest_port} for both. Pass 0 for free ones."
            )
        if poll_seconds is not None and poll_seconds <= 0:
            raise ValueError(
                f"poll_seconds: expected seconds above 0, or None to load once, got {poll_seconds}."
            )
        self.releases = None if releases is None else local_path(os.fspath(releases))
        self.host = host
        self.rest_port = rest_port
        self.grpc_port = grpc_port
        self._asked_ports = (rest_port, grpc_port)
        self._poll_seconds = poll_seconds
        self._settings = settings or ServerSettings()
        if threads is not None:
            self._settings = replace(self._settings, rest_threads=threads, grpc_threads=threads)
        if tls is not None:
            self._settings = replace(self._settings, rest_tls=tls, grpc_tls=tls)
        self._models = tuple(models)
        self._config_file = None if config_file is None else Path(config_file)
        self._config_poll_seconds = config_poll_seconds
        self._require_models = require_models
        self._core = Core(self._settings.loading, self._settings.retries)
        self._lifecycle = Lifecycle(self._core)
        self._process = os.getpid()
        self._loop: EventLoop | None = None
        self._rest: RestServer | None = None
        self._grpc: GrpcServer | None = None
        self._poller: Poller | None = None

    @property
    def rest_url(self) -> str:
        """The URL of the REST API, such as `http://localhost:8501`."""
        scheme = "https" if self._settings.rest_tls else "http"
        return f"{scheme}://{self._host_name}:{_known(self.rest_port, 'rest_port')}"

    @property
    def grpc_url(self) -> str:
        """The URL of the gRPC API, such as `grpc://localhost:8500`."""
        scheme = "grpcs" if self._settings.grpc_tls else "grpc"
        return f"{scheme}://{self._host_name}:{_known(self.grpc_port, 'grpc_port')}"

    @property
    def _host_name(self) -> str:
        if self.host in (*_LOOPBACK, "0.0.0.0", "::"):
            return "localhost"
        return f"[{self.host}]" if ":" in self.host else self.host

    def start(self) -> Self:
        """Load the models and open the ports. A running event loop of the caller is blocked meanwhile.

        Raises:
            ServerStartError: there is nothing to serve, a model has no version that loads (the message has
                the reason for each), a certificate is invalid, or a port is in use. Nothing keeps running.
        """
        if self._loop:
            raise ServerStartError(f"This server is running already, in process {self._process}.")
        self._process = os.getpid()
        if self.releases and (problem := releases.explain_nothing_found(self.releases)):
            raise ServerStartError(f"Nothing to serve: {problem}.")
        try:
            models, config = self._models, b""
            if self._config_file:
                config = self._config_file.read_bytes() if self._config_file.is_file() else b""
                models = tuple(model_configs(read_file(self._config_file, messages.ModelServerConfig)))
            self._lifecycle = Lifecycle(
                self._core,
                self.releases,
                models,
                allow_unavailable_labels=self._settings.allow_unavailable_labels,
            )
            self._loop = EventLoop()
            # Before the models are loaded, which may take long, so that a port in use is reported at once.
            self._loop.call(self._open_ports())
            self._lifecycle.start(self._settings.retries, require_models=self._require_models)
            self._loop.call(self._answer())
            self._poller = Poller(
                self._lifecycle, self._poll_seconds, self._config_file, self._config_poll_seconds, config
            )
        except StatusError as error:
            self.stop()
            raise ServerStartError(f"{error.status.name}: {error.message}") from error
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, *, wait_for_loading: bool = True) -> bool:
        """Close the ports, wait for the requests in flight, and unload the models.

        A second call does nothing, nor does a call in a process forked from the server's, which has none of
        its threads.

        Args:
            wait_for_loading: wait for a version that is being loaded, without a limit. A process that ends
                does not have to.

        Returns:
            Whether everything has ended: False while a version is still being loaded.
        """
        if self._process != os.getpid():
            return True
        if self._poller:
            self._poller.stop()
        if self._loop:
            self._loop.call(self._close_ports())
            self._loop.stop()
        # Last, as it may be loading a model for minutes.
        ended = self._poller is None or self._poller.join(None if wait_for_loading else _POLLER_SECONDS)
        self._poller = self._loop = None
        if ended:
            self._core.close()
        return ended

    def __reduce__(self) -> str:
        raise TypeError(
            "Server: expected to stay in its process, with its ports and threads, and not to be pickled or "
            "copied. Pass server.rest_url or server.grpc_url, with which another process creates a Client."
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _open_ports(self) -> None:
        rest_port, grpc_port = self._asked_ports
        metrics = Metrics(self._core.knows)
        if rest_port is not None:
            lifecycle = self._lifecycle
            api = RestApi(self._core, self._settings, metrics, lifecycle.models, lifecycle.missing)
            try:
                self._rest = RestServer(api, self.host, rest_port, self._settings)
            except OSError as error:
                raise _port_error("rest_port", self.host, rest_port, error) from error
            self.rest_port = self._rest.port
        if grpc_port is not None or self._settings.grpc_socket:
            if problem := grpc_forks.problem():
                raise ServerStartError(f"grpc_port: {problem[:-1]}, with grpc_port=None.")
            host = f"[{self.host}]" if ":" in self.host else self.host
            address = None if grpc_port is None else f"{host}:{grpc_port}"
            threads = self._settings.pool(self._settings.grpc_threads, "keras_dl_grpc")
            methods = GrpcApi(
                self._core,
                metrics,
                self._lifecycle.reload,
                threads,
                tensor_content=self._settings.tensor_content,
                check_method_names=self._settings.loading.check_method_names,
            )
            try:
                self._grpc = GrpcServer(methods, address, self._settings, threads)
            except OSError as error:
                raise _port_error("grpc_port", self.host, grpc_port, error) from error
            self.grpc_port = self._grpc.port
        unix = self._settings.grpc_socket
        inherited.note_addresses(self, self.rest_port, self.grpc_port, None if unix is None else str(unix))

    async def _answer(self) -> None:
        for protocol in (self._rest, self._grpc):
            if protocol:
                await protocol.start()

    async def _close_ports(self) -> None:
        protocols = [protocol for protocol in (self._rest, self._grpc) if protocol]
        await asyncio.gather(*(protocol.stop(_STOP_SECONDS) for protocol in protocols))
        self._rest = self._grpc = None
        inherited.note_addresses(self)


def _known(port: int | None, name: str) -> int:
    if not port:
        raise ServerStartError(
            f"{name} is {port}: it has no address {'yet' if port == 0 else 'as it is off'}."
        )
    return port


def _port_error(name: str, host: str, port: int | None, error: OSError) -> ServerStartError:
    if error.errno in (errno.EADDRINUSE, None):
        return ServerStartError(
            f"{name} {port} on {host} is in use by another program. Stop it, pass another port, or pass 0 "
            f"for a free one ({error})."
        )
    return ServerStartError(f"{name} {port} on {host} cannot be opened: {error}.")
