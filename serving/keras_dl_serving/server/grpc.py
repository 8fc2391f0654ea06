"""TensorFlow Serving's gRPC services."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import Message

from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import Internal, InvalidArgument, NotFound, StatusError
from keras_dl_serving.server import access_log
from keras_dl_serving.server.config import ModelConfig, model_configs
from keras_dl_serving.server.core import Core, ModelSpec, Servable
from keras_dl_serving.server.examples import check_tasks, classify, examples_of, multi_inference, regress
from keras_dl_serving.server.metrics import Metrics
from keras_dl_serving.server.predict import predict
from keras_dl_serving.server.settings import Settings
from keras_dl_serving.signatures import DEFAULT_SIGNATURE
from keras_dl_serving.wire import messages, tensors

_log = logging.getLogger("keras_dl_serving")
_STATUS_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_MAX_MESSAGE_CHARACTERS = 1024
_SERVING = 1  # HealthCheckResponse.SERVING
_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # else a second server takes the same port without a word
)


class GrpcApi:
    """The methods, as functions of a request.

    Args:
        core: the models.
        metrics: where requests are counted.
        reload: serves other models from now on.
        tensor_content: outputs as blocks of bytes instead of typed values.
    """

    def __init__(
        self,
        core: Core,
        metrics: Metrics,
        reload: Callable[[Sequence[ModelConfig]], None],
        *,
        tensor_content: bool = False,
    ) -> None:
        self._core = core
        self._metrics = metrics
        self._reload = reload
        self._tensor_content = tensor_content

    def predict(self, request: messages.PredictRequest) -> messages.PredictResponse:
        """PredictionService.Predict."""
        signature_name = request.model_spec.signature_name
        with self._metrics.request(request.model_spec.name, "Predict", "GRPC"):
            spec = _model_spec(request)
            with self._core.use(spec) as servable:
                engine = self._metrics.timed(servable.engine, spec.name, "Predict")
                outputs = predict(engine, signature_name, request.inputs, _read, request.output_filter)
            response = messages.PredictResponse()
            _resolve(response.model_spec, servable, signature_name)
            for name, array in outputs.items():
                tensors.write(array, response.outputs[name], as_content=self._tensor_content)
        return response

    def classify(self, request: messages.ClassificationRequest) -> messages.ClassificationResponse:
        """PredictionService.Classify."""
        signature_name = request.model_spec.signature_name
        response = messages.ClassificationResponse()
        with self._metrics.request(request.model_spec.name, "Classify", "GRPC"):
            spec = _model_spec(request)
            with self._core.use(spec) as servable:
                engine = self._metrics.timed(servable.engine, spec.name, "Classify")
                response.result.CopyFrom(classify(engine, signature_name, request.input))
            _resolve(response.model_spec, servable, signature_name)
            self._metrics.example_count.add(spec.name, count=len(examples_of(request.input)))
        return response

    def regress(self, request: messages.RegressionRequest) -> messages.RegressionResponse:
        """PredictionService.Regress."""
        signature_name = request.model_spec.signature_name
        response = messages.RegressionResponse()
        with self._metrics.request(request.model_spec.name, "Regress", "GRPC"):
            spec = _model_spec(request)
            with self._core.use(spec) as servable:
                engine = self._metrics.timed(servable.engine, spec.name, "Regress")
                response.result.CopyFrom(regress(engine, signature_name, request.input))
            _resolve(response.model_spec, servable, signature_name)
            self._metrics.example_count.add(spec.name, count=len(examples_of(request.input)))
        return response

    def multi_inference(self, request: messages.MultiInferenceRequest) -> messages.MultiInferenceResponse:
        """PredictionService.MultiInference."""
        response = messages.MultiInferenceResponse()
        name = request.tasks[0].model_spec.name if request.tasks else ""
        with self._metrics.request(name, "MultiInference", "GRPC"):
            if not request.tasks:
                raise InvalidArgument("Inference request must have at least one task.")
            check_tasks(request.tasks)
            spec = _model_spec(request.tasks[0])
            with self._core.use(spec) as servable:
                engine = self._metrics.timed(servable.engine, spec.name, "MultiInference")
                results = multi_inference(engine, request.tasks, request.input)
            for task, found in zip(request.tasks, results, strict=True):
                result = response.results.add()
                _resolve(result.model_spec, servable, task.model_spec.signature_name)
                if isinstance(found, messages.ClassificationResult):
                    result.classification_result.CopyFrom(found)
                else:
                    result.regression_result.CopyFrom(found)
            self._metrics.example_count.add(spec.name, count=len(examples_of(request.input)))
        return response

    def handle_reload_config(self, request: messages.ReloadConfigRequest) -> messages.ReloadConfigResponse:
        """ModelService.HandleReloadConfigRequest."""
        if request.config.WhichOneof("config") != "model_config_list":
            raise InvalidArgument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is "
                "currently supported"
            )
        before = self._metrics.totals()
        self._reload(model_configs(request.config))
        after = self._metrics.totals()
        response = messages.ReloadConfigResponse()
        response.status.error_code = 0
        for name in request.metric_names:
            if name in after:
                response.metric.add(name=name, int64_value_increase=after[name] - before[name])
        return response

    def check_health(self, request: messages.HealthCheckRequest) -> messages.HealthCheckResponse:
        """Health.Check of the standard health service."""
        if request.service not in ("", _PREDICTION_SERVICE, _MODEL_SERVICE):
            raise NotFound("unknown service")
        return messages.HealthCheckResponse(status=_SERVING)

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


_PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
_MODEL_SERVICE = "tensorflow.serving.ModelService"


def create_server(api: GrpcApi, address: str | None, settings: Settings) -> tuple[grpc.Server, int | None]:
    """A gRPC server that is not started yet, and the port it has taken.

    Raises:
        OSError: the port is not free.
    """
    threads = settings.threads(settings.grpc_threads)
    server = grpc.server(
        ThreadPoolExecutor(threads, thread_name_prefix="keras_dl_grpc"),
        options=[*_OPTIONS, *settings.grpc_options],
    )
    services: dict[str, dict[str, tuple[Callable[[Any], Message], type[Message]]]] = {
        _PREDICTION_SERVICE: {
            "Predict": (api.predict, messages.PredictRequest),
            "Classify": (api.classify, messages.ClassificationRequest),
            "Regress": (api.regress, messages.RegressionRequest),
            "MultiInference": (api.multi_inference, messages.MultiInferenceRequest),
            "GetModelMetadata": (api.get_model_metadata, messages.GetModelMetadataRequest),
        },
        _MODEL_SERVICE: {
            "GetModelStatus": (api.get_model_status, messages.GetModelStatusRequest),
            "HandleReloadConfigRequest": (api.handle_reload_config, messages.ReloadConfigRequest),
        },
    }
    if settings.health:
        services["grpc.health.v1.Health"] = {"Check": (api.check_health, messages.HealthCheckRequest)}
    for service, methods in services.items():
        handlers = {
            name: _handler(f"/{service}/{name}", method, kind, log=settings.access_log)
            for name, (method, kind) in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = None
    if settings.grpc_socket:
        _listen(server, f"unix:{settings.grpc_socket}", None)
    if address:
        port = _listen(server, address, settings.grpc_tls)
    return server, port


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


def _handler(path: str, method: Callable[[Any], Message], request_class: type[Message], *, log: bool) -> Any:
    def answer(request: Any, context: grpc.ServicerContext) -> Message:
        began = time.perf_counter()
        try:
            response = method(request)
            if log:
                access_log.write("grpc", "POST", path, "OK", began, response.ByteSize())
            return response
        except StatusError as error:
            failure: StatusError = error
        except Exception as error:
            _log.exception("%s failed", path)
            failure = Internal(f"{type(error).__name__}: {error}")
        if log:
            access_log.write("grpc", "POST", path, failure.status.name, began, 0)
        message = failure.message
        if len(message) > _MAX_MESSAGE_CHARACTERS:
            message = message[:_MAX_MESSAGE_CHARACTERS] + "...TRUNCATED"
        context.abort(_STATUS_CODES[failure.status], message)

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request_class.FromString,
        response_serializer=lambda reply: reply.SerializeToString(),
    )


def _resolve(proto: messages.ModelSpec, servable: Servable, signature_name: str) -> None:
    proto.name = servable.name
    proto.version.value = servable.version
    proto.signature_name = signature_name or DEFAULT_SIGNATURE


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
