"""TensorFlow Serving's gRPC services."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import Internal, InvalidArgument, StatusError
from keras_dl_serving.server.core import Core, ModelSpec
from keras_dl_serving.server.predict import predict
from keras_dl_serving.signatures import DEFAULT_SIGNATURE
from keras_dl_serving.wire import messages, tensors

_log = logging.getLogger("keras_dl_serving")
_Request = TypeVar("_Request", bound=Message)
_STATUS_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_MAX_MESSAGE_CHARACTERS = 1024
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # else a second server takes the same port without a word
]


class GrpcApi:
    """The methods, as functions of a request.

    Args:
        core: the models.
        tensor_content: outputs as blocks of bytes instead of typed values.
    """

    def __init__(self, core: Core, *, tensor_content: bool = False) -> None:
        self._core = core
        self._tensor_content = tensor_content

    def predict(self, request: messages.PredictRequest) -> messages.PredictResponse:
        """PredictionService.Predict."""
        spec = _model_spec(request)
        signature_name = request.model_spec.signature_name
        with self._core.use(spec) as servable:
            outputs = predict(servable, signature_name, request.inputs, _read, request.output_filter)
        response = messages.PredictResponse()
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        response.model_spec.signature_name = signature_name or DEFAULT_SIGNATURE
        for name, array in outputs.items():
            tensors.write(array, response.outputs[name], as_content=self._tensor_content)
        return response

    def get_model_metadata(
        self, request: messages.GetModelMetadataRequest
    ) -> messages.GetModelMetadataResponse:
        """PredictionService.GetModelMetadata."""
        spec = _model_spec(request)
        if not request.metadata_field:
            raise InvalidArgument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise InvalidArgument(f"Metadata field {field} is not supported")
        response = messages.GetModelMetadataResponse()
        with self._core.use(spec) as servable:
            response.metadata["signature_def"].value = servable.engine.signature_def_map
        response.metadata["signature_def"].type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        return response

    def get_model_status(self, request: messages.GetModelStatusRequest) -> messages.GetModelStatusResponse:
        """ModelService.GetModelStatus."""
        response = messages.GetModelStatusResponse()
        for servable in self._core.states(_model_spec(request)):
            version = response.model_version_status.add(version=servable.version, state=servable.state)
            version.status.error_code = servable.error.status if servable.error else 0
            version.status.error_message = servable.error.message if servable.error else ""
        return response


def create_server(core: Core, address: str, threads: int) -> tuple[grpc.Server, int]:
    """A gRPC server that is not started yet, and the port it has taken.

    Raises:
        OSError: the port is not free.
    """
    server = grpc.server(ThreadPoolExecutor(threads, thread_name_prefix="keras_dl_grpc"), options=_OPTIONS)
    api = GrpcApi(core)
    services = {
        "tensorflow.serving.PredictionService": {
            "Predict": _handler(api.predict, messages.PredictRequest),
            "GetModelMetadata": _handler(api.get_model_metadata, messages.GetModelMetadataRequest),
        },
        "tensorflow.serving.ModelService": {
            "GetModelStatus": _handler(api.get_model_status, messages.GetModelStatusRequest),
        },
    }
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items())
    )
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(str(error)) from error
    if not port:
        raise OSError(f"cannot listen on {address}")
    return server, port


def _handler(method: Callable[[_Request], Message], request_class: type[_Request]) -> Any:
    def answer(request: _Request, context: grpc.ServicerContext) -> Message:
        try:
            return method(request)
        except StatusError as error:
            failure: StatusError = error
        except Exception as error:
            _log.exception("%s failed", request_class.__name__)
            failure = Internal(f"{type(error).__name__}: {error}")
        message = failure.message
        if len(message) > _MAX_MESSAGE_CHARACTERS:
            message = message[:_MAX_MESSAGE_CHARACTERS] + "...TRUNCATED"
        context.abort(_STATUS_CODES[failure.status], message)

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request_class.FromString,
        response_serializer=lambda reply: reply.SerializeToString(),
    )


def _model_spec(request: Any) -> ModelSpec:
    if not request.HasField("model_spec"):
        raise InvalidArgument("Missing ModelSpec")
    proto: messages.ModelSpec = request.model_spec
    choice = proto.WhichOneof("version_choice")
    return ModelSpec(
        proto.name,
        version=proto.version.value if choice == "version" else None,
        label=proto.version_label if choice == "version_label" else None,
    )


def _read(name: str, proto: messages.TensorProto) -> Array:
    try:
        return tensors.read(proto)
    except ValueError:
        raise InvalidArgument(f"tensor parsing error: {name}") from None
