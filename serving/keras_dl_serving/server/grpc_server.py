"""The gRPC server: which services it offers, where it listens, how it answers and stops."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import grpc
from google.protobuf.message import Message

from keras_dl_serving.errors import Internal, StatusError
from keras_dl_serving.server import access_log
from keras_dl_serving.server.grpc import GrpcApi
from keras_dl_serving.server.health import Health
from keras_dl_serving.server.profiler import Profiler
from keras_dl_serving.server.settings import Settings
from keras_dl_serving.wire import messages

_log = logging.getLogger("keras_dl_serving")
_STATUS_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_MAX_MESSAGE_CHARACTERS = 1024
_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # else a second server takes the same port without a word
)
_Method = tuple[Callable[[Any], Message], type[Message]]


class GrpcServer:
    """A server that has its port and is not started yet.

    Args:
        api: the prediction and model services.
        address: host and port; a port of 0 takes a free one; None listens on the UNIX socket alone.
        settings: how to answer.

    Raises:
        OSError: the port is not free.
    """

    def __init__(self, api: GrpcApi, address: str | None, settings: Settings) -> None:
        self._health = Health()
        self._profiler = Profiler()
        self._log = settings.access_log
        self._stopped = Event()
        threads = settings.threads(settings.grpc_threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="keras_dl_grpc")
        self._server = grpc.server(self._pool, options=[*_OPTIONS, *settings.grpc_options])
        self._offer(
            "tensorflow.serving.PredictionService",
            Predict=(api.predict, messages.PredictRequest),
            Classify=(api.classify, messages.ClassificationRequest),
            Regress=(api.regress, messages.RegressionRequest),
            MultiInference=(api.multi_inference, messages.MultiInferenceRequest),
            GetModelMetadata=(api.get_model_metadata, messages.GetModelMetadataRequest),
        )
        self._offer(
            "tensorflow.serving.ModelService",
            GetModelStatus=(api.get_model_status, messages.GetModelStatusRequest),
            HandleReloadConfigRequest=(api.handle_reload_config, messages.ReloadConfigRequest),
        )
        if settings.profiler:
            self._offer(
                "tensorflow.ProfilerService",
                Profile=(self._profiler.profile, messages.ProfileRequest),
                Terminate=(self._profiler.terminate, messages.TerminateRequest),
                Monitor=(self._profiler.monitor, messages.MonitorRequest),
            )
        if settings.health:
            self._offer("grpc.health.v1.Health", Check=(self._health.check, messages.HealthCheckRequest))
            self._offer_watch()
        if settings.grpc_socket:
            _listen(self._server, f"unix:{settings.grpc_socket}", None)
        self.port = _listen(self._server, address, settings.grpc_tls) if address else None

    def start(self) -> None:
        """Answer."""
        self._server.start()

    def stop(self, seconds: float) -> None:
        """Take no more requests, let those in flight finish for so long; `wait` for it."""
        self._health.close()
        self._profiler.close()
        self._stopped = self._server.stop(seconds)

    def wait(self) -> None:
        """Return once it has stopped."""
        self._stopped.wait()
        self._pool.shutdown()

    def _offer(self, service: str, **methods: _Method) -> None:
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._answer(f"/{service}/{name}", method),
                request_deserializer=kind.FromString,
                response_serializer=lambda reply: reply.SerializeToString(),
            )
            for name, (method, kind) in methods.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))

    def _offer_watch(self) -> None:
        def watch(request: Any, context: grpc.ServicerContext, send: Any) -> None:
            self._health.watch(request, context, send)

        # A call that stays open takes no thread: as the health service of gRPC's own package does it.
        watch.experimental_non_blocking = True  # type: ignore[attr-defined]
        handler = grpc.unary_stream_rpc_method_handler(
            watch,
            request_deserializer=messages.HealthCheckRequest.FromString,
            response_serializer=lambda reply: reply.SerializeToString(),
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Watch": handler}),)
        )

    def _answer(self, path: str, method: Callable[[Any], Message]) -> Any:
        def answer(request: Any, context: grpc.ServicerContext) -> Message:
            began = time.perf_counter()
            try:
                response = method(request)
                if self._log:
                    access_log.write("grpc", "POST", path, "OK", began, response.ByteSize())
                return response
            except StatusError as error:
                failure: StatusError = error
            except Exception as error:
                _log.exception("%s failed", path)
                failure = Internal(f"{type(error).__name__}: {error}")
            if self._log:
                access_log.write("grpc", "POST", path, failure.status.name, began, 0)
            message = failure.message
            if len(message) > _MAX_MESSAGE_CHARACTERS:
                message = message[:_MAX_MESSAGE_CHARACTERS] + "...TRUNCATED"
            context.abort(_STATUS_CODES[failure.status], message)
            raise AssertionError("abort raises")

        return answer


def _listen(server: grpc.Server, address: str, tls: messages.SSLConfig | None) -> int:
    try:
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            credentials = grpc.ssl_server_credentials(
                [(tls.server_key.encode(), tls.server_cert.encode())],
                root_certificates=tls.custom_ca.encode() or None,
                require_client_auth=tls.client_verify,
            )
            port = server.add_secure_port(address, credentials)
    except (RuntimeError, ValueError) as error:
        raise OSError(str(error)) from error
    if not port:
        raise OSError(f"cannot listen on {address}")
    return port
