"""How a server behaves, apart from what it serves and where it listens."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.core import Retries
from keras_dl_serving.server.loading import Loading

DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"


@dataclass(frozen=True)
class Settings:
    """All of it has TensorFlow Serving's defaults.

    Attributes:
        loading: how versions are loaded.
        retries: what to do when one fails to.
        allow_unavailable_labels: whether a new label may name a version that is not there yet.
        rest_threads: how many requests of REST a model runs at once; by default four a core.
        grpc_threads: the same for gRPC.
        rest_timeout: seconds for a REST request, and for its head to come; None is no limit.
        max_body_bytes: the largest REST body; one in gzip unpacks to 100 MiB at most.
        cors: whether browsers of other origins may ask over REST.
        metrics_path: where Prometheus finds its metrics on the REST port; None is off.
        access_log: log every request as a line of JSON, by `keras_dl_serving.access`.
        tensor_content: gRPC outputs as blocks of bytes instead of typed values.
        health: offer the standard health service over gRPC.
        profiler: offer TensorFlow's profiler service over gRPC, which writes traces where it is told to.
        grpc_options: channel arguments for gRPC.
        grpc_socket: a UNIX socket on which gRPC answers, too.
        grpc_tls: keys and certificates for gRPC.
        grpc_alts: Google's ALTS for gRPC instead, which works on its cloud alone.
        rest_tls: keys and certificates for REST.
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
    grpc_tls: messages.SSLConfig | None = None
    grpc_alts: bool = False
    rest_tls: messages.SSLConfig | None = None

    def pool(self, threads: int | None, name: str) -> ThreadPoolExecutor:
        """The threads of a protocol that asks for so many."""
        return ThreadPoolExecutor(threads or 4 * (os.cpu_count() or 1), thread_name_prefix=name)
