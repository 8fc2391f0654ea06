"""`keras-dl-model-server`: TensorFlow Serving's command line.

It takes the original's flags, `--flag=value` or `--flag` alone for a switch, reads the same configuration
files, and refuses unknown flags. Flags beyond the original's are in a group of their own in `--help`.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from keras_dl_serving.errors import InvalidArgumentError, ServerStartError, StatusError
from keras_dl_serving.model_server.flags import WITHOUT_EFFECT, make_parser
from keras_dl_serving.protocol.text_files import read_file
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server import batching, process, server_tls
from keras_dl_serving.server.core import Retries
from keras_dl_serving.server.engines.engine import Threads
from keras_dl_serving.server.loading import Loading
from keras_dl_serving.server.model_configs import ModelConfig, local_path
from keras_dl_serving.server.server import Server
from keras_dl_serving.server.settings import DEFAULT_METRICS_PATH, ServerSettings

_log = logging.getLogger("keras_dl_serving")
_ASKED_TO_STOP, _DONE = "asked to stop", "done"
_STOP_SECONDS = 12.0  # a little more than requests in flight have


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT.

    Returns:
        The exit status: 0 after a request to stop, 1 if the server could not start.
    """
    parser = make_parser()
    flags, unknown = parser.parse_known_args(arguments)
    if unknown:
        print(f"unknown argument: {unknown[0]}", file=sys.stderr)  # noqa: T201
        parser.print_usage(sys.stderr)
        return 1
    if flags.version:
        print(f"keras_dl ModelServer: {version('keras-dl')}")  # noqa: T201
        return 0
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for name in WITHOUT_EFFECT:
        if getattr(flags, name) is not None:
            _log.warning("--%s has no effect on this server", name)
    try:
        return run(create_server(flags))
    except StatusError as error:
        failure = f"{error.status.name}: {error.message}"
    except ValueError as error:
        failure = f"{InvalidArgumentError.status.name}: {error}"
    except ServerStartError as error:
        failure = str(error)
    print(f"Failed to start server. Error: {failure}", file=sys.stderr)  # noqa: T201
    return 1


def run(server: Server) -> int:
    """Run a server until SIGTERM or SIGINT; requests in flight finish. It is for `main` functions.

    All long work is done in other threads, so that this one handles a signal at once: an exception raised
    by a signal's handler would surface in the code that loads a model, as that model's error. If the server
    has not started yet, does not stop in time, or is signaled a second time, the process ends at once.

    Raises:
        ServerStartError: the server cannot start.
    """
    process.dedicate()
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: events.put(_ASKED_TO_STOP))
    starting = _in_background(server.start, events)
    if events.get() == _ASKED_TO_STOP:
        _leave()
    starting.result()
    if server.grpc_port:
        _log.info("Running gRPC ModelServer at %s ...", server.grpc_url.partition("://")[2])
    if server.rest_port:
        _log.info("Exporting HTTP/REST API at:%s ...", server.rest_url)
    events.get()
    _log.info("Stopping: requests in flight finish first")
    until = time.monotonic() + _STOP_SECONDS
    stopping = _in_background(partial(server.stop, wait_for_loading=False), events)
    with suppress(queue.Empty):
        events.get(timeout=_STOP_SECONDS)
    if not stopping.done() or not stopping.result():
        _leave()
    for thread in threading.enumerate():  # those that the interpreter would wait for
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(until - time.monotonic(), 0))
            if thread.is_alive():
                _leave()
    return 0


def _in_background(work: Callable[[], object], events: queue.SimpleQueue[str]) -> Future[object]:
    """Start work in a thread that does not keep the process from ending; an event reports its end."""
    done: Future[object] = Future()
    done.add_done_callback(lambda _: events.put(_DONE))

    def call() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=call, name="keras_dl_main", daemon=True).start()
    return done


def _leave() -> NoReturn:
    """End the process at once, whatever its threads do."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def create_server(flags: argparse.Namespace) -> Server:
    """Return the server that the flags describe, not started yet.

    Raises:
        InvalidArgumentError: they contradict each other, or name a file that cannot be read.
        ValueError: a port is invalid.
    """
    if not flags.model_config_file and not flags.model_base_path:
        raise InvalidArgumentError(
            "Both server_options.model_base_path and server_options.model_config_file are empty!"
        )
    one = ModelConfig(flags.model_name, local_path(flags.model_base_path), flags.model_platform)
    polling = flags.file_system_poll_wait_seconds
    config_polling = flags.model_config_file_poll_wait_seconds
    return Server(
        rest_port=flags.rest_api_port or None,
        grpc_port=flags.port or (None if flags.grpc_socket_path else 0),
        host=flags.host,
        poll_seconds=polling if polling > 0 else None,
        models=() if flags.model_config_file else (one,),
        config_file=flags.model_config_file or None,
        config_poll_seconds=config_polling if config_polling > 0 else None,
        settings=_settings(flags),
    )


def _settings(flags: argparse.Namespace) -> ServerSettings:
    return ServerSettings(
        loading=Loading(
            prefer_tflite=flags.prefer_tflite_model,
            warm_up=flags.enable_model_warmup,
            warm_up_iterations=flags.num_request_iterations_for_warmup,
            verify_releases=flags.verify_releases,
            batching=_batching(flags),
            per_model_batching=flags.enable_per_model_batching_parameters,
            check_method_names=flags.enable_signature_method_name_check,
            threads=_threads(flags),
        ),
        retries=Retries(flags.max_num_load_retries, max(flags.load_retry_interval_micros, 0) * 1e-6),
        allow_unavailable_labels=flags.allow_version_labels_for_unavailable_models,
        rest_threads=flags.rest_api_num_threads or None,
        grpc_threads=flags.grpc_max_threads or None,
        rest_timeout=flags.rest_api_timeout_in_ms * 1e-3 if flags.rest_api_timeout_in_ms > 0 else None,
        cors=flags.rest_api_enable_cors_support,
        metrics_path=_metrics_path(flags.monitoring_config_file),
        access_log=flags.access_log,
        tensor_content=flags.enable_serialization_as_tensor_content,
        health=flags.enable_grpc_healthcheck_service,
        profiler=flags.enable_profiler,
        grpc_options=_channel_arguments(flags.grpc_channel_arguments),
        grpc_socket=Path(flags.grpc_socket_path) if flags.grpc_socket_path else None,
        grpc_tls=_tls(flags.ssl_config_file),
        grpc_alts=flags.use_alts_credentials,
        rest_tls=_tls(flags.rest_ssl_config_file),
    )


def _threads(flags: argparse.Namespace) -> Threads:
    both = flags.tensorflow_session_parallelism
    within, between = flags.tensorflow_intra_op_parallelism, flags.tensorflow_inter_op_parallelism
    if min(both, within, between) < 0:
        raise InvalidArgumentError("server_options.tensorflow_*_parallelism must not be negative")
    if both and within and between:
        raise InvalidArgumentError(
            "Either configure server_options.tensorflow_session_parallelism or (server_options."
            "tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) separately. "
            "You cannot configure all."
        )
    # As in the original: one of the two is enough for the other flag not to count.
    return Threads(within, between) if within or between else Threads(both, both)


def _batching(flags: argparse.Namespace) -> batching.BatchingOptions | None:
    if not flags.enable_batching:
        if flags.batching_parameters_file:
            raise InvalidArgumentError(
                "server_options.batching_parameters_file is set without setting "
                "server_options.enable_batching to true."
            )
        return None
    if not flags.batching_parameters_file:
        return batching.BatchingOptions()
    return batching.from_proto(read_file(Path(flags.batching_parameters_file), messages.BatchingParameters))


def _metrics_path(file: str) -> str | None:
    if not file:
        return None
    config = read_file(Path(file), messages.MonitoringConfig).prometheus_config
    return (config.path or DEFAULT_METRICS_PATH) if config.enable else None


def _tls(file: str) -> messages.SSLConfig | None:
    if not file:
        return None
    found = read_file(Path(file), messages.SSLConfig)
    server_tls.context(found, file)  # now, while the file can be named
    return found


def _channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    pairs = [argument.partition("=") for argument in text.split(",") if argument]
    return tuple((key, int(value) if value.lstrip("-").isdecimal() else value) for key, _, value in pairs)
