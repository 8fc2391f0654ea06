"""The gRPC transport."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from keras_dl_serving.client.transport import ModelMetadata, StaleSignature, VersionStatus
from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import (
    Code,
    ConnectionFailed,
    Internal,
    Request,
    ServingError,
    StatusError,
    UnsupportedByServer,
)
from keras_dl_serving.signatures import Signature, readable
from keras_dl_serving.wire import messages, tensors

_Response = TypeVar("_Response", bound=Message)
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # 4 MB by default
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
]
# gRPC has one code for a server that is busy and one that is not there.
_NOT_CONNECTED = (
    "failed to connect",
    "Connection refused",
    "Connection reset",
    "Socket closed",
    "DNS resolution",
)
_PREDICTION = "/tensorflow.serving.PredictionService"
_MODEL = "/tensorflow.serving.ModelService"


class GrpcTransport:
    """Calls by method path with our own messages; a channel opens at the first call."""

    def __init__(self, url: str, *, blocking: bool) -> None:
        parts = urlsplit(url)
        self._address = parts.netloc
        self._credentials = grpc.ssl_channel_credentials() if parts.scheme == "grpcs" else None
        self._blocking = blocking
        self._channel: Any = None
        self._methods: dict[str, Any] = {}

    async def predict(
        self, request: Request, inputs: Mapping[str, Array], signature: Signature, timeout: float | None
    ) -> tuple[dict[str, Array], int | None]:
        """Run a model."""
        message = messages.PredictRequest(model_spec=_model_spec(request))
        for name, array in inputs.items():
            tensors.write(array, message.inputs[name], as_content=True)
        answer = await self._call(
            f"{_PREDICTION}/Predict", message, messages.PredictResponse, request, timeout
        )
        if answer.outputs.keys() != signature.outputs.keys():
            raise StaleSignature(f"they are {', '.join(sorted(answer.outputs))}")
        try:
            outputs = {name: tensors.read(answer.outputs[name]) for name in signature.outputs}
        except ValueError as error:
            raise Internal(f"The server's answer cannot be read: {error}", request=request) from error
        return outputs, answer.model_spec.version.value

    async def metadata(self, request: Request, timeout: float | None) -> ModelMetadata:
        """What a model offers."""
        message = messages.GetModelMetadataRequest(
            model_spec=_model_spec(request), metadata_field=["signature_def"]
        )
        answer = await self._call(
            f"{_PREDICTION}/GetModelMetadata", message, messages.GetModelMetadataResponse, request, timeout
        )
        try:
            signatures = messages.SignatureDefMap.FromString(answer.metadata["signature_def"].value)
        except DecodeError as error:
            raise Internal(f"The server's answer cannot be read: {error}", request=request) from error
        return ModelMetadata(answer.model_spec.name, answer.model_spec.version.value, readable(signatures))

    async def status(self, request: Request, timeout: float | None) -> list[VersionStatus]:
        """The versions of a model."""
        message = messages.GetModelStatusRequest(model_spec=_model_spec(request))
        answer = await self._call(
            f"{_MODEL}/GetModelStatus", message, messages.GetModelStatusResponse, request, timeout
        )
        states = messages.ModelVersionStatus.State
        return [
            VersionStatus(version.version, states.Name(version.state), version.status.error_message)
            for version in answer.model_version_status
        ]

    async def models(self, request: Request, timeout: float | None) -> list[str]:
        """Always refused: TensorFlow Serving's protocol has no such call."""
        raise UnsupportedByServer(
            "TensorFlow Serving's gRPC API does not list models: ask for the status of one by name, or ask "
            "keras_dl's own server over REST",
            request=request,
        )

    async def _call(
        self, path: str, message: Message, answer: type[_Response], request: Request, timeout: float | None
    ) -> _Response:
        if path not in self._methods:
            self._methods[path] = self._open_channel().unary_unary(
                path,
                request_serializer=type(message).SerializeToString,
                response_deserializer=answer.FromString,
            )
        try:
            # A channel of grpc.aio gives a call to be awaited, a blocking one the answer.
            result = self._methods[path](message, timeout=timeout)
            reply: _Response = result if self._blocking else await result
            return reply
        except grpc.RpcError as error:
            raise _translate(error, request) from None

    def _open_channel(self) -> Any:
        if self._channel is None:
            module: Any = grpc if self._blocking else grpc.aio
            if self._credentials:
                self._channel = module.secure_channel(self._address, self._credentials, options=_OPTIONS)
            else:
                self._channel = module.insecure_channel(self._address, options=_OPTIONS)
        return self._channel

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        if self._blocking:
            time.sleep(seconds)
        else:
            await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close the channel."""
        channel, self._channel = self._channel, None
        self._methods.clear()
        if channel is not None:
            closing = channel.close()
            if not self._blocking:
                await closing


def _model_spec(request: Request) -> messages.ModelSpec:
    spec = messages.ModelSpec(name=request.model or "", signature_name=request.signature_name or "")
    if request.version is not None:
        spec.version.value = request.version
    if request.label is not None:
        spec.version_label = request.label
    return spec


def _translate(error: Any, request: Request) -> ServingError:
    code, details = Code(error.code().value[0]), error.details() or ""
    if code is Code.UNAVAILABLE and any(hint in details for hint in _NOT_CONNECTED):
        return ConnectionFailed(f"The server cannot be reached: {details}", request=request)
    return StatusError.of(code, details, request=request)
