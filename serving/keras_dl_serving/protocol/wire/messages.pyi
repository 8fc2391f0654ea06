from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence
from typing import Any as Anything
from typing import ClassVar, TypeVar, overload

from google.protobuf.message import Message

_Value = TypeVar("_Value")

class _Messages(Sequence[_Value]):
    @overload
    def __getitem__(self, index: int) -> _Value: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[_Value]: ...
    def __len__(self) -> int: ...
    def add(self, **fields: Anything) -> _Value: ...

class _States:
    def Name(self, number: int) -> str: ...
    def items(self) -> Sequence[tuple[str, int]]: ...

class _MessageMap(Mapping[str, _Value]):
    def __getitem__(self, key: str) -> _Value: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...

class TensorShapeProto(Message):
    class Dim(Message):
        size: int
        name: str

    unknown_rank: bool
    @property
    def dim(self) -> _Messages[TensorShapeProto.Dim]: ...
    def __init__(self, *, dim: Iterable[TensorShapeProto.Dim] = ..., unknown_rank: bool = ...) -> None: ...

class TensorProto(Message):
    dtype: int
    version_number: int
    tensor_content: bytes
    @property
    def tensor_shape(self) -> TensorShapeProto: ...
    @property
    def float_val(self) -> MutableSequence[bytes]: ...
    @property
    def double_val(self) -> MutableSequence[bytes]: ...
    @property
    def int_val(self) -> MutableSequence[int]: ...
    @property
    def string_val(self) -> MutableSequence[bytes]: ...
    @property
    def scomplex_val(self) -> MutableSequence[bytes]: ...
    @property
    def int64_val(self) -> MutableSequence[int]: ...
    @property
    def bool_val(self) -> MutableSequence[bool]: ...
    @property
    def dcomplex_val(self) -> MutableSequence[bytes]: ...
    @property
    def half_val(self) -> MutableSequence[int]: ...
    @property
    def uint32_val(self) -> MutableSequence[int]: ...
    @property
    def uint64_val(self) -> MutableSequence[int]: ...

class DefaultTensorProto(Message): ...

class TensorInfo(Message):
    class CooSparse(Message):
        values_tensor_name: str
        indices_tensor_name: str
        dense_shape_tensor_name: str

    class CompositeTensor(Message):
        @property
        def components(self) -> _Messages[TensorInfo]: ...

    name: str
    dtype: int
    @property
    def coo_sparse(self) -> TensorInfo.CooSparse: ...
    @property
    def composite_tensor(self) -> TensorInfo.CompositeTensor: ...
    @property
    def tensor_shape(self) -> TensorShapeProto: ...

class SignatureDef(Message):
    method_name: str
    @property
    def inputs(self) -> _MessageMap[TensorInfo]: ...
    @property
    def outputs(self) -> _MessageMap[TensorInfo]: ...
    @property
    def defaults(self) -> _MessageMap[DefaultTensorProto]: ...

class SignatureDefMap(Message):
    @property
    def signature_def(self) -> _MessageMap[SignatureDef]: ...

class Int64Value(Message):
    value: int

class Any(Message):
    type_url: str
    value: bytes

class ModelSpec(Message):
    name: str
    version_label: str
    signature_name: str
    @property
    def version(self) -> Int64Value: ...
    def __init__(self, *, name: str = ..., signature_name: str = ...) -> None: ...

class PredictRequest(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def inputs(self) -> _MessageMap[TensorProto]: ...
    @property
    def output_filter(self) -> MutableSequence[str]: ...
    def __init__(self, *, model_spec: ModelSpec = ..., output_filter: Iterable[str] = ...) -> None: ...

class PredictResponse(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def outputs(self) -> _MessageMap[TensorProto]: ...

class GetModelMetadataRequest(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def metadata_field(self) -> MutableSequence[str]: ...
    def __init__(self, *, model_spec: ModelSpec = ..., metadata_field: Iterable[str] = ...) -> None: ...

class GetModelMetadataResponse(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def metadata(self) -> _MessageMap[Any]: ...

class GetModelStatusRequest(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    def __init__(self, *, model_spec: ModelSpec = ...) -> None: ...

class StatusProto(Message):
    error_code: int
    error_message: str

class ModelVersionStatus(Message):
    State: ClassVar[_States]
    version: int
    state: int
    @property
    def status(self) -> StatusProto: ...

class GetModelStatusResponse(Message):
    @property
    def model_version_status(self) -> _Messages[ModelVersionStatus]: ...

class BytesList(Message):
    @property
    def value(self) -> MutableSequence[bytes]: ...

class FloatList(Message):
    @property
    def value(self) -> MutableSequence[float]: ...

class Int64List(Message):
    @property
    def value(self) -> MutableSequence[int]: ...

class Feature(Message):
    @property
    def bytes_list(self) -> BytesList: ...
    @property
    def float_list(self) -> FloatList: ...
    @property
    def int64_list(self) -> Int64List: ...

class Features(Message):
    @property
    def feature(self) -> _MessageMap[Feature]: ...

class Example(Message):
    @property
    def features(self) -> Features: ...

class ExampleList(Message):
    @property
    def examples(self) -> MutableSequence[bytes]: ...

class ExampleListWithContext(Message):
    context: bytes
    @property
    def examples(self) -> MutableSequence[bytes]: ...

class Input(Message):
    @property
    def example_list(self) -> ExampleList: ...
    @property
    def example_list_with_context(self) -> ExampleListWithContext: ...

class Class(Message):
    label: str
    score: float

class Classifications(Message):
    @property
    def classes(self) -> _Messages[Class]: ...

class ClassificationResult(Message):
    @property
    def classifications(self) -> _Messages[Classifications]: ...

class ClassificationRequest(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def input(self) -> Input: ...

class ClassificationResponse(Message):
    @property
    def result(self) -> ClassificationResult: ...
    @property
    def model_spec(self) -> ModelSpec: ...

class Regression(Message):
    value: float

class RegressionResult(Message):
    @property
    def regressions(self) -> _Messages[Regression]: ...

class RegressionRequest(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def input(self) -> Input: ...

class RegressionResponse(Message):
    @property
    def result(self) -> RegressionResult: ...
    @property
    def model_spec(self) -> ModelSpec: ...

class InferenceTask(Message):
    method_name: str
    @property
    def model_spec(self) -> ModelSpec: ...

class InferenceResult(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def classification_result(self) -> ClassificationResult: ...
    @property
    def regression_result(self) -> RegressionResult: ...

class MultiInferenceRequest(Message):
    @property
    def tasks(self) -> _Messages[InferenceTask]: ...
    @property
    def input(self) -> Input: ...

class MultiInferenceResponse(Message):
    @property
    def results(self) -> _Messages[InferenceResult]: ...

class ServableVersionPolicy(Message):
    class Latest(Message):
        num_versions: int

    class Specific(Message):
        @property
        def versions(self) -> MutableSequence[int]: ...

    @property
    def latest(self) -> ServableVersionPolicy.Latest: ...
    @property
    def specific(self) -> ServableVersionPolicy.Specific: ...

class ModelConfig(Message):
    name: str
    base_path: str
    model_type: int
    model_platform: str
    @property
    def model_version_policy(self) -> ServableVersionPolicy: ...
    @property
    def version_labels(self) -> Mapping[str, int]: ...

class ModelConfigList(Message):
    @property
    def config(self) -> _Messages[ModelConfig]: ...

class ModelServerConfig(Message):
    @property
    def model_config_list(self) -> ModelConfigList: ...

class ReloadConfigRequest(Message):
    @property
    def config(self) -> ModelServerConfig: ...
    @property
    def metric_names(self) -> MutableSequence[str]: ...

class Metric(Message):
    name: str
    int64_value_increase: int

class ReloadConfigResponse(Message):
    @property
    def status(self) -> StatusProto: ...
    @property
    def metric(self) -> _Messages[Metric]: ...

class BatchingParameters(Message):
    @property
    def max_batch_size(self) -> Int64Value: ...
    @property
    def batch_timeout_micros(self) -> Int64Value: ...
    @property
    def max_enqueued_batches(self) -> Int64Value: ...
    @property
    def num_batch_threads(self) -> Int64Value: ...
    @property
    def allowed_batch_sizes(self) -> MutableSequence[int]: ...
    pad_variable_length_inputs: bool

class PrometheusConfig(Message):
    enable: bool
    path: str

class MonitoringConfig(Message):
    @property
    def prometheus_config(self) -> PrometheusConfig: ...

class SSLConfig(Message):
    server_key: str
    server_cert: str
    custom_ca: str
    client_verify: bool

class ClassifyLog(Message):
    @property
    def request(self) -> ClassificationRequest: ...

class RegressLog(Message):
    @property
    def request(self) -> RegressionRequest: ...

class PredictLog(Message):
    @property
    def request(self) -> PredictRequest: ...

class MultiInferenceLog(Message):
    @property
    def request(self) -> MultiInferenceRequest: ...

class PredictionLog(Message):
    @property
    def classify_log(self) -> ClassifyLog: ...
    @property
    def regress_log(self) -> RegressLog: ...
    @property
    def predict_log(self) -> PredictLog: ...
    @property
    def multi_inference_log(self) -> MultiInferenceLog: ...

class HealthCheckRequest(Message):
    service: str

class HealthCheckResponse(Message):
    status: int
    def __init__(self, *, status: int = ...) -> None: ...

class ProfileOptions(Message):
    version: int
    host_tracer_level: int
    device_tracer_level: int
    python_tracer_level: int
    duration_ms: int

class ProfileRequest(Message):
    @property
    def opts(self) -> ProfileOptions: ...
    repository_root: str
    session_id: str
    host_name: str
    emit_xspace: bool

class ProfileResponse(Message):
    empty_trace: bool
    xspace: bytes
    def __init__(self, *, empty_trace: bool = ..., xspace: bytes = ...) -> None: ...

class TerminateRequest(Message):
    session_id: str

class TerminateResponse(Message): ...
class MonitorRequest(Message): ...
class MonitorResponse(Message): ...

class ServerReflectionRequest(Message):
    host: str
    file_by_filename: str
    file_containing_symbol: str
    all_extension_numbers_of_type: str
    list_services: str
    def __init__(self, *, file_by_filename: str = ..., list_services: str = ...) -> None: ...

class FileDescriptorResponse(Message):
    @property
    def file_descriptor_proto(self) -> MutableSequence[bytes]: ...

class ServiceResponse(Message):
    name: str

class ListServiceResponse(Message):
    @property
    def service(self) -> _Messages[ServiceResponse]: ...

class ErrorResponse(Message):
    error_code: int
    error_message: str

class ServerReflectionResponse(Message):
    valid_host: str
    @property
    def original_request(self) -> ServerReflectionRequest: ...
    @property
    def file_descriptor_response(self) -> FileDescriptorResponse: ...
    @property
    def list_services_response(self) -> ListServiceResponse: ...
    @property
    def error_response(self) -> ErrorResponse: ...
