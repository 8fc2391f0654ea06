"""The gRPC server: its services, its addresses, and its start and stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from keras_dl_serving import grpc_forks
from keras_dl_serving.errors import InternalError, StatusError
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.protocol.wire.descriptors import Method
from keras_dl_serving.server import access_log, reflection, server_tls
from keras_dl_serving.server.grpc_api import GrpcApi
from keras_dl_serving.server.health import Health
from keras_dl_serving.server.profiler import Profiler
from keras_dl_serving.server.reflection import Reflection
from keras_dl_serving.server.servable_runner import DEADLINE
from keras_dl_serving.server.settings import ServerSettings

_log = logging.getLogger("keras_dl_serving")
_STATUS_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_MAX_MESSAGE_CHARACTERS = 1024
_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # gRPC cancels some of the calls that arrive while 1,000 wait for the loop, and all above 3,000.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 40_000),
    ("grpc.so_reuseport", 0),  # otherwise a second server silently shares the port
)
_Method = Callable[[Any], Awaitable[Message]]


class GrpcServer:
    """A gRPC server with a reserved port, created, started and stopped in its event loop.

    Args:
        api: the prediction and model services.
        address: host and port; port 0 selects a free one; None listens on the UNIX socket alone.
        settings: the server's.
        threads: the threads for blocking work.

    Raises:
        OSError: the port is in use.
        InvalidArgumentError: the certificates are invalid.
    """

    def __init__(
        self, api: GrpcApi, address: str | None, settings: ServerSettings, threads: ThreadPoolExecutor
    ) -> None:
        self._health = Health()
        self._profiler = Profiler()
        self._threads = threads
        self._log = settings.access_log
        self._services: dict[str, dict[str, Method]] = {}
        self._reflection = Reflection(self._services)
        self._server = grpc_forks.polled_for(grpc.aio.server(options=[*_OPTIONS, *settings.grpc_options]))
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
            HandleReloadConfigRequest=(
                self._in_thread(api.handle_reload_config),
                messages.ReloadConfigRequest,
            ),
        )
        if settings.profiler:
            self._offer(
                "tensorflow.ProfilerService",
                Profile=(self._in_thread(self._profiler.profile), messages.ProfileRequest),
                Terminate=(self._in_thread(self._profiler.terminate), messages.TerminateRequest),
                Monitor=(self._in_thread(self._profiler.monitor), messages.MonitorRequest),
            )
        if settings.health:
            self._offer("grpc.health.v1.Health", Check=(self._health.check, messages.HealthCheckRequest))
            watch = Method(messages.HealthCheckRequest.DESCRIPTOR.name, answers_many=True)
            self._add("grpc.health.v1.Health", "Watch", self._watch(), watch)
        for service in reflection.SERVICES:
            self._add(service, "ServerReflectionInfo", self._reflect(), reflection.METHOD)
        # The socket requires the same certificates as the port, which it would circumvent otherwise.
        credentials = server_tls.credentials(settings.grpc_tls, "grpc_tls") if settings.grpc_tls else None
        if settings.grpc_alts:
            credentials = grpc.alts_server_credentials()
        if settings.grpc_socket:
            self._listen(f"unix:{settings.grpc_socket}", credentials)
        self.port = self._listen(address, credentials) if address else None

    async def start(self) -> None:
        """Accept requests."""
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Accept no more requests, and wait for those in flight for so many seconds."""
        self._health.close()
        self._profiler.close()
        self._reflection.close()
        await self._server.stop(seconds)
        self._threads.shutdown(wait=False)

    def _listen(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        try:
            if credentials is None:
                port: int = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except (RuntimeError, ValueError) as error:
            raise OSError(str(error)) from error
        if not port:
            raise OSError(f"cannot listen on {address}")
        return port

    def _offer(self, service: str, **methods: tuple[_Method, type[Message]]) -> None:
        for name, (method, kind) in methods.items():
            answer = self._answer(f"/{service}/{name}", method, kind)
            handler = grpc.unary_unary_rpc_method_handler(answer)
            self._add(service, name, handler, Method(kind.DESCRIPTOR.name))

    def _add(self, service: str, name: str, handler: Any, method: Method) -> None:
        self._services.setdefault(service, {})[name] = method
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {name: handler}),)
        )

    def _in_thread(self, method: Callable[[Any], Message]) -> _Method:
        async def call(request: Any) -> Message:
            return await asyncio.get_running_loop().run_in_executor(self._threads, method, request)

        return call

    def _watch(self) -> Any:
        async def watch(request: Any, _: Any) -> AsyncIterator[Message]:
            async for status in self._health.watch(request):
                yield status

        return grpc.unary_stream_rpc_method_handler(
            watch,
            request_deserializer=messages.HealthCheckRequest.FromString,
            response_serializer=lambda reply: reply.SerializeToString(),
        )

    def _reflect(self) -> Any:
        async def reflect(requests: Any, _: Any) -> AsyncIterator[bytes]:
            async for response in self._reflection.info(aiter(requests)):
                yield response.SerializeToString()

        return grpc.stream_stream_rpc_method_handler(reflect)

    def _answer(self, path: str, method: _Method, kind: type[Message]) -> Any:
        async def answer(message: bytes, context: Any) -> bytes:
            began = time.perf_counter()
            if (seconds := context.time_remaining()) is not None:
                DEADLINE.set(time.monotonic() + seconds)
            try:
                response = (await method(kind.FromString(message))).SerializeToString()
                if self._log:
                    access_log.write("grpc", "POST", path, "OK", began, len(response))
                return response
            except StatusError as error:
                failure: StatusError = error
            except DecodeError as error:
                failure = InternalError(f"Exception deserializing request! {error}")
            except Exception as error:
                _log.exception("%s failed", path)
                failure = InternalError(f"{type(error).__name__}: {error}")
            if self._log:
                access_log.write("grpc", "POST", path, failure.status.name, began, 0)
            reason = failure.message
            if len(reason) > _MAX_MESSAGE_CHARACTERS:
                reason = reason[:_MAX_MESSAGE_CHARACTERS] + "...TRUNCATED"
            await context.abort(_STATUS_CODES[failure.status], reason)
            raise AssertionError("abort raises")

        return answer
