"""The settings of a server, apart from its models and its addresses."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.core import Retries
from keras_dl_serving.server.loading import Loading
from keras_dl_serving.tls import TLS

DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"


@dataclass(frozen=True)
class ServerSettings:
    """The settings of a `Server`, with TensorFlow Serving's defaults.

        Server("releases", settings=ServerSettings(loading=Loading(batching=BatchingOptions()), cors=True))

    Attributes:
        loading: how versions are loaded: batching, warm-up, threads, TFLite.
        retries: how often, and after how many seconds, a version that fails to load is loaded again.
        allow_unavailable_labels: whether a new label may name a version that is not loaded yet.
        rest_threads: how many REST requests a model runs at once; by default four per core.
        grpc_threads: the same for gRPC.
        rest_timeout: seconds for a REST request, and for receiving its head; None is no limit.
        max_body_bytes: the largest REST body in bytes; a body in gzip unpacks to 100 MiB at most.
        cors: whether pages of other origins may send REST requests.
        metrics_path: the path of the Prometheus metrics on the REST port; None is off.
        access_log: whether the logger `keras_dl_serving.access` logs every request as a line of JSON.
        tensor_content: whether gRPC outputs are blocks of bytes instead of typed values.
        health: whether gRPC offers the standard health service.
        profiler: whether gRPC offers TensorFlow's profiler service, which writes traces to any given path.
        grpc_options: channel arguments for gRPC.
        grpc_socket: a UNIX socket on which gRPC also listens.
        grpc_tls: certificates for gRPC, as `TLS` or as TensorFlow Serving's `SSLConfig`.
        grpc_alts: whether gRPC uses Google's ALTS instead, which works on Google Cloud alone.
        rest_tls: certificates for REST, likewise.
    """

    loading: Loading = field(default_factory=Loading)
    retries: Retries = field(default_factory=Retries)
    allow_unavailable_labels: bool = False
    rest_threads: int | None = None
    grpc_threads: int | None = None
    rest_timeout: float | None = 30.0
    max_body_bytes: int = 2**30
    cors: bool = False
    metrics_path: str | None = DEFAULT_METRICS_PATH
    access_log: bool = False
    tensor_content: bool = False
    health: bool = False
    profiler: bool = False
    grpc_options: tuple[tuple[str, int | str], ...] = ()
    grpc_socket: Path | None = None
    grpc_tls: TLS | messages.SSLConfig | None = None
    grpc_alts: bool = False
    rest_tls: TLS | messages.SSLConfig | None = None

    def pool(self, threads: int | None, name: str) -> ThreadPoolExecutor:
        """Return the threads of a protocol: `threads`, or by default four per core."""
        return ThreadPoolExecutor(threads or 4 * (os.cpu_count() or 1), thread_name_prefix=name)


Settings = ServerSettings  # its name in earlier versions
