"""The gRPC transport."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import grpc
import grpc.aio
import numpy as np
from google.protobuf.message import DecodeError, Message

from keras_dl_export.dtypes import Array
from keras_dl_serving import grpc_forks
from keras_dl_serving.client.client_tls import context_of
from keras_dl_serving.client.example_features import Examples, Features
from keras_dl_serving.client.transport import (
    Classification,
    Connection,
    ModelMetadata,
    StaleSignature,
    VersionStatus,
)
from keras_dl_serving.client.waiting import AT_ONCE, Slots, deadline_after, seconds_until
from keras_dl_serving.errors import (
    Code,
    ConnectionFailedError,
    InternalError,
    InvalidRequestError,
    Request,
    ServingError,
    StatusError,
    UnsupportedByServerError,
)
from keras_dl_serving.protocol.signatures import Signature, from_proto, read_all
from keras_dl_serving.protocol.wire import messages, tensors

_Response = TypeVar("_Response", bound=Message)
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # 4 MB by default
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
]
# gRPC has one code for a busy server and for one that cannot be reached.
_NOT_CONNECTED = (
    "failed to connect",
    "Connection refused",
    "Connection reset",
    "Socket closed",
    "DNS resolution",
    "errors resolving",
)
# Beside "failed to connect": there is a server, but with another protocol.
_SWAPPED = (
    "Failed parsing HTTP/2",
    "Socket closed",
    "WRONG_VERSION_NUMBER",
    "missing selected ALPN",
)
# The texts of gRPC's own libraries for a service or method that a server does not have.
_NO_METHOD = re.compile(r"|method not (found|implemented)!?|unknown (service|method) .*", re.IGNORECASE)
_PREDICTION = "/tensorflow.serving.PredictionService"
_MODEL = "/tensorflow.serving.ModelService"


class GrpcTransport:
    """Calls over gRPC with this package's own messages; the channel opens at the first call."""

    keep_seconds: float | None = None

    def __init__(self, url: str, connection: Connection, *, blocking: bool) -> None:
        parts = urlsplit(url)
        self._address = url if parts.scheme == "unix" else parts.netloc
        self._credentials = _tls(connection) if parts.scheme == "grpcs" else None
        self._headers = [_metadatum(name.lower(), value) for name, value in connection.headers.items()]
        self.blocking = blocking
        self._slots = Slots(AT_ONCE, blocking=blocking)
        self._channel: Any = None
        self._methods: dict[str, Any] = {}

    async def predict(
        self,
        request: Request,
        inputs: Mapping[str, Array],
        signature: Signature,
        outputs: Sequence[str] | None,
        timeout: float | None,
    ) -> tuple[dict[str, Array], int | None]:
        """Run a model."""
        message = messages.PredictRequest(model_spec=_model_spec(request), output_filter=outputs or ())
        for name, array in inputs.items():
            tensors.write(array, message.inputs[name], as_content=True)
        answer = await self._call(
            f"{_PREDICTION}/Predict", message, messages.PredictResponse, request, timeout
        )
        wanted = signature.outputs.keys() if outputs is None else set(outputs)
        # A server may not support the filter.
        if not wanted <= answer.outputs.keys() or (outputs is None and answer.outputs.keys() - wanted):
            raise StaleSignature(f"they are {', '.join(sorted(answer.outputs))}")
        try:
            results = {name: tensors.read(answer.outputs[name]) for name in outputs or signature.outputs}
        except ValueError as error:
            raise InternalError(f"The server's answer cannot be read: {error}", request=request) from error
        spec = answer.model_spec
        return results, spec.version.value if spec.HasField("version") else None

    async def classify(
        self, request: Request, examples: Examples, timeout: float | None
    ) -> list[Classification]:
        """Classify examples."""
        message = messages.ClassificationRequest()
        message.model_spec.CopyFrom(_model_spec(request))
        _write_examples(examples, message.input)
        path = f"{_PREDICTION}/Classify"
        answer = await self._call(path, message, messages.ClassificationResponse, request, timeout)
        return _classifications(answer.result)

    async def regress(self, request: Request, examples: Examples, timeout: float | None) -> Array:
        """Regress examples."""
        message = messages.RegressionRequest()
        message.model_spec.CopyFrom(_model_spec(request))
        _write_examples(examples, message.input)
        path = f"{_PREDICTION}/Regress"
        answer = await self._call(path, message, messages.RegressionResponse, request, timeout)
        return _regressions(answer.result)

    async def multi_inference(
        self, request: Request, tasks: Mapping[str, str], examples: Examples, timeout: float | None
    ) -> dict[str, list[Classification] | Array]:
        """Run several signatures on the same examples."""
        message = messages.MultiInferenceRequest()
        for signature_name, method in tasks.items():
            task = message.tasks.add(method_name=f"tensorflow/serving/{method}")
            task.model_spec.CopyFrom(_model_spec(replace(request, signature_name=signature_name)))
        _write_examples(examples, message.input)
        path = f"{_PREDICTION}/MultiInference"
        answer = await self._call(path, message, messages.MultiInferenceResponse, request, timeout)
        if len(answer.results) != len(tasks):
            raise InternalError(
                f"The server answered {len(answer.results)} of {len(tasks)} tasks", request=request
            )
        return {
            name: _classifications(result.classification_result)
            if method == "classify"
            else _regressions(result.regression_result)
            for (name, method), result in zip(tasks.items(), answer.results, strict=True)
        }

    async def reload_config(
        self, request: Request, config: str, metric_names: Sequence[str], timeout: float | None
    ) -> dict[str, int]:
        """Replace the models that the server serves."""
        from google.protobuf import (
            text_format,
        )  # imported for this call alone: it would slow down every start

        message = messages.ReloadConfigRequest()
        try:
            text_format.Parse(config, message.config)
        except text_format.ParseError as error:
            raise InvalidRequestError(
                f"config: expected a ModelServerConfig in text format, got an error at {error}.",
                request=request,
            ) from None
        message.metric_names.extend(metric_names)
        path = f"{_MODEL}/HandleReloadConfigRequest"
        answer = await self._call(path, message, messages.ReloadConfigResponse, request, timeout)
        if answer.status.error_code:
            code = _code(answer.status.error_code)
            raise StatusError.of(code, answer.status.error_message, request=request)
        return {metric.name: metric.int64_value_increase for metric in answer.metric}

    async def metadata(self, request: Request, timeout: float | None) -> ModelMetadata:
        """Return the signatures of a model."""
        message = messages.GetModelMetadataRequest(
            model_spec=_model_spec(request), metadata_field=["signature_def"]
        )
        answer = await self._call(
            f"{_PREDICTION}/GetModelMetadata", message, messages.GetModelMetadataResponse, request, timeout
        )
        try:
            signatures = messages.SignatureDefMap.FromString(answer.metadata["signature_def"].value)
        except DecodeError as error:
            raise InternalError(f"The server's answer cannot be read: {error}", request=request) from error
        spec = answer.model_spec
        return ModelMetadata(spec.name, spec.version.value, *read_all(signatures.signature_def, from_proto))

    async def status(self, request: Request, timeout: float | None) -> list[VersionStatus]:
        """Return the versions of a model."""
        message = messages.GetModelStatusRequest(model_spec=_model_spec(request))
        answer = await self._call(
            f"{_MODEL}/GetModelStatus", message, messages.GetModelStatusResponse, request, timeout
        )
        states = messages.ModelVersionStatus.State
        names = {number: name for name, number in states.items()}
        return [
            VersionStatus(
                version.version, names.get(version.state, str(version.state)), version.status.error_message
            )
            for version in answer.model_version_status
        ]

    async def models(self, request: Request, timeout: float | None) -> list[str]:
        """Raise an error: TensorFlow Serving's protocol has no such call."""
        raise UnsupportedByServerError(
            "TensorFlow Serving's gRPC API does not list models: ask for the status of one by name, or ask "
            "keras_dl's own server over REST",
            request=request,
        )

    async def _call(
        self, path: str, message: Message, answer: type[_Response], request: Request, timeout: float | None
    ) -> _Response:
        if problem := grpc_forks.problem():
            raise InvalidRequestError(problem, request=request)
        if path not in self._methods:
            self._methods[path] = self._open_channel().unary_unary(
                path,
                request_serializer=type(message).SerializeToString,
                response_deserializer=answer.FromString,
            )
        deadline = deadline_after(timeout)
        try:
            async with self._slots.taken(timeout, request):
                method, left = self._methods[path], seconds_until(deadline)
                if self.blocking:
                    with grpc_forks.blocking_call():
                        reply: _Response = method(message, timeout=left, metadata=self._headers)
                else:
                    reply = await method(message, timeout=left, metadata=self._headers)
                return reply
        except grpc.RpcError as error:
            raise _translate(error, request) from None

    def _open_channel(self) -> Any:
        if self._channel is None:
            module: Any = grpc if self.blocking else grpc.aio
            if self._credentials:
                channel = module.secure_channel(self._address, self._credentials, options=_OPTIONS)
            else:
                channel = module.insecure_channel(self._address, options=_OPTIONS)
            self._channel = channel if module is grpc else grpc_forks.polled_for(channel)
        return self._channel

    async def close(self) -> None:
        """Close the channel."""
        channel, self._channel = self._channel, None
        self._methods.clear()
        if channel is not None:
            closing = channel.close()
            if not self.blocking:
                await closing


def _metadatum(name: str, value: str) -> tuple[str, str | bytes]:
    return name, value.encode() if name.endswith("-bin") else value


def _tls(connection: Connection) -> grpc.ChannelCredentials:
    if connection.tls is None:
        return grpc.ssl_channel_credentials()
    context_of(connection.tls)  # gRPC itself reports a fault at the first call, and names no file
    ca, cert, key = (file.read_bytes() if file else None for file in connection.tls.paths)
    return grpc.ssl_channel_credentials(ca, key, cert)


def _write_examples(examples: Examples, proto: messages.Input) -> None:
    rows = [_example(row) for row in examples.rows]
    if examples.context is None:
        proto.example_list.examples.extend(rows)
    else:
        proto.example_list_with_context.context = _example(examples.context)
        proto.example_list_with_context.examples.extend(rows)


def _example(features: Features) -> bytes:
    example = messages.Example()
    for name, values in features.items():
        feature = example.features.feature[name]
        if not values:
            continue
        if isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return example.SerializeToString()


def _classifications(result: messages.ClassificationResult) -> list[Classification]:
    return [[(each.label, each.score) for each in row.classes] for row in result.classifications]


def _regressions(result: messages.RegressionResult) -> Array:
    return np.array([each.value for each in result.regressions], np.float32)


def _model_spec(request: Request) -> messages.ModelSpec:
    spec = messages.ModelSpec(name=request.model or "", signature_name=request.signature_name or "")
    if request.version is not None:
        spec.version.value = request.version
    if request.label is not None:
        spec.version_label = request.label
    return spec


def _code(number: int) -> Code:
    try:
        return Code(number)
    except ValueError:
        return Code.UNKNOWN


def _translate(error: Any, request: Request) -> ServingError:
    code, details = _code(error.code().value[0]), error.details() or ""
    if code is Code.UNIMPLEMENTED and _NO_METHOD.fullmatch(details):
        return UnsupportedByServerError(
            f"The server has no {request.method!r} over gRPC: {details or 'unimplemented'}", request=request
        )
    if code is Code.UNAVAILABLE and any(hint in details for hint in _NOT_CONNECTED):
        hint = ""
        if "failed to connect" in details and any(sign in details for sign in _SWAPPED):
            hint = ". Is this the gRPC port, and does it speak TLS (grpcs://) or not (grpc://)?"
        return ConnectionFailedError(f"The server cannot be reached: {details}{hint}", request=request)
    return StatusError.of(code, details, request=request)
