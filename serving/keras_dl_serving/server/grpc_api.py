"""TensorFlow Serving's prediction and model services as functions of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE
from keras_dl_serving.protocol.wire import messages, tensors
from keras_dl_serving.server.core import Core, ModelSpec, Servable
from keras_dl_serving.server.example_inference import (
    check_tasks,
    classify,
    examples_of,
    multi_inference,
    regress,
)
from keras_dl_serving.server.metrics import Metrics
from keras_dl_serving.server.model_configs import ModelConfig, model_configs
from keras_dl_serving.server.predict import predict
from keras_dl_serving.server.servable_runner import Runner, ServableRunner

_Response = TypeVar("_Response", messages.ClassificationResponse, messages.RegressionResponse)


class GrpcApi:
    """The methods of both services.

    Args:
        core: the models.
        metrics: counts the requests.
        reload: replaces the served models.
        threads: the threads that run models.
        tensor_content: whether outputs are blocks of bytes instead of typed values.
        check_method_names: whether classify and regress require a signature of that method name.
    """

    def __init__(
        self,
        core: Core,
        metrics: Metrics,
        reload: Callable[[Sequence[ModelConfig]], None],
        threads: Executor,
        *,
        tensor_content: bool = False,
        check_method_names: bool = False,
    ) -> None:
        self._core = core
        self._metrics = metrics
        self._reload = reload
        self._threads = threads
        self._tensor_content = tensor_content
        self._check_method_names = check_method_names

    def _runner(self, servable: Servable, api: str) -> Runner:
        checks, latency = self._check_method_names, self._metrics.runtime_latency
        return ServableRunner(servable, self._threads, latency, api, checks_method_names=checks)

    async def predict(self, request: messages.PredictRequest) -> messages.PredictResponse:
        """Answer PredictionService.Predict."""
        signature_name = request.model_spec.signature_name
        with self._metrics.request(request.model_spec.name, "Predict", "GRPC"):
            spec = _model_spec(request)
            with self._core.use(spec) as servable:
                runner = self._runner(servable, "Predict")
                outputs = await predict(runner, signature_name, request.inputs, _read, request.output_filter)
            response = messages.PredictResponse()
            _resolve(response.model_spec, servable, signature_name)
            for name, array in outputs.items():
                tensors.write(array, response.outputs[name], as_content=self._tensor_content)
        return response

    async def classify(self, request: messages.ClassificationRequest) -> messages.ClassificationResponse:
        """Answer PredictionService.Classify."""
        return await self._of_examples(request, "Classify", classify, messages.ClassificationResponse())

    async def regress(self, request: messages.RegressionRequest) -> messages.RegressionResponse:
        """Answer PredictionService.Regress."""
        return await self._of_examples(request, "Regress", regress, messages.RegressionResponse())

    async def _of_examples(
        self,
        request: Any,
        api: str,
        infer: Callable[[Runner, str, messages.Input], Awaitable[Any]],
        response: _Response,
    ) -> _Response:
        signature_name = request.model_spec.signature_name
        with self._metrics.request(request.model_spec.name, api, "GRPC"):
            spec = _model_spec(request)
            with self._core.use(spec) as servable:
                runner = self._runner(servable, api)
                response.result.CopyFrom(await infer(runner, signature_name, request.input))
            _resolve(response.model_spec, servable, signature_name)
            self._metrics.example_count.add(spec.name, count=len(examples_of(request.input)))
        return response

    async def multi_inference(
        self, request: messages.MultiInferenceRequest
    ) -> messages.MultiInferenceResponse:
        """Answer PredictionService.MultiInference."""
        response = messages.MultiInferenceResponse()
        name = request.tasks[0].model_spec.name if request.tasks else ""
        with self._metrics.request(name, "MultiInference", "GRPC"):
            if not request.tasks:
                raise InvalidArgumentError("Inference request must have at least one task.")
            check_tasks(request.tasks)
            spec = _model_spec(request.tasks[0])
            with self._core.use(spec) as servable:
                runner = self._runner(servable, "MultiInference")
                results = await multi_inference(runner, request.tasks, request.input)
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
        """Answer ModelService.HandleReloadConfigRequest."""
        if request.config.WhichOneof("config") != "model_config_list":
            raise InvalidArgumentError(
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

    async def get_model_metadata(
        self, request: messages.GetModelMetadataRequest
    ) -> messages.GetModelMetadataResponse:
        """Answer PredictionService.GetModelMetadata."""
        spec = _model_spec(request)
        if not request.metadata_field:
            raise InvalidArgumentError("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise InvalidArgumentError(f"Metadata field {field} is not supported")
        response = messages.GetModelMetadataResponse()
        with self._core.use(spec) as servable:
            response.metadata["signature_def"].value = servable.engine.signature_def_map
        response.metadata["signature_def"].type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        return response

    async def get_model_status(
        self, request: messages.GetModelStatusRequest
    ) -> messages.GetModelStatusResponse:
        """Answer ModelService.GetModelStatus."""
        response = messages.GetModelStatusResponse()
        for servable in self._core.states(_model_spec(request)):
            version = response.model_version_status.add(version=servable.version, state=servable.state)
            version.status.error_code = servable.error.status if servable.error else 0
            version.status.error_message = servable.error.message if servable.error else ""
        return response


def _resolve(proto: messages.ModelSpec, servable: Servable, signature_name: str) -> None:
    proto.name = servable.name
    proto.version.value = servable.version
    proto.signature_name = signature_name or DEFAULT_SIGNATURE


def _model_spec(request: Any) -> ModelSpec:
    if not request.HasField("model_spec"):
        raise InvalidArgumentError("Missing ModelSpec")
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
        raise InvalidArgumentError(f"tensor parsing error: {name}") from None
