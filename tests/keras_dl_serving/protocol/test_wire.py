"""Our own copy of the protocol against the official one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from keras_dl_export import dtypes
from keras_dl_export.dtypes import Array
from keras_dl_serving.protocol.wire import messages, tensors

OFFICIAL = {
    "TensorProto": "tensorflow.core.framework.tensor_pb2",
    "TensorShapeProto": "tensorflow.core.framework.tensor_shape_pb2",
    "DefaultTensorProto": "tensorflow.core.framework.tensor_pb2",
    "TensorInfo": "tensorflow.core.protobuf.meta_graph_pb2",
    "SignatureDef": "tensorflow.core.protobuf.meta_graph_pb2",
    "SignatureDefMap": "tensorflow_serving.apis.get_model_metadata_pb2",
    "Any": "google.protobuf.any_pb2",
    "Int64Value": "google.protobuf.wrappers_pb2",
    "ModelSpec": "tensorflow_serving.apis.model_pb2",
    "PredictRequest": "tensorflow_serving.apis.predict_pb2",
    "PredictResponse": "tensorflow_serving.apis.predict_pb2",
    "GetModelMetadataRequest": "tensorflow_serving.apis.get_model_metadata_pb2",
    "GetModelMetadataResponse": "tensorflow_serving.apis.get_model_metadata_pb2",
    "GetModelStatusRequest": "tensorflow_serving.apis.get_model_status_pb2",
    "GetModelStatusResponse": "tensorflow_serving.apis.get_model_status_pb2",
    "ModelVersionStatus": "tensorflow_serving.apis.get_model_status_pb2",
    "StatusProto": "tensorflow_serving.apis.status_pb2",
    "BytesList": "tensorflow.core.example.feature_pb2",
    "FloatList": "tensorflow.core.example.feature_pb2",
    "Int64List": "tensorflow.core.example.feature_pb2",
    "Feature": "tensorflow.core.example.feature_pb2",
    "Features": "tensorflow.core.example.feature_pb2",
    "Example": "tensorflow.core.example.example_pb2",
    "ExampleList": "tensorflow_serving.apis.input_pb2",
    "ExampleListWithContext": "tensorflow_serving.apis.input_pb2",
    "Input": "tensorflow_serving.apis.input_pb2",
    "Class": "tensorflow_serving.apis.classification_pb2",
    "Classifications": "tensorflow_serving.apis.classification_pb2",
    "ClassificationResult": "tensorflow_serving.apis.classification_pb2",
    "ClassificationRequest": "tensorflow_serving.apis.classification_pb2",
    "ClassificationResponse": "tensorflow_serving.apis.classification_pb2",
    "Regression": "tensorflow_serving.apis.regression_pb2",
    "RegressionResult": "tensorflow_serving.apis.regression_pb2",
    "RegressionRequest": "tensorflow_serving.apis.regression_pb2",
    "RegressionResponse": "tensorflow_serving.apis.regression_pb2",
    "InferenceTask": "tensorflow_serving.apis.inference_pb2",
    "InferenceResult": "tensorflow_serving.apis.inference_pb2",
    "MultiInferenceRequest": "tensorflow_serving.apis.inference_pb2",
    "MultiInferenceResponse": "tensorflow_serving.apis.inference_pb2",
    "LogCollectorConfig": "tensorflow_serving.config.log_collector_config_pb2",
    "SamplingConfig": "tensorflow_serving.config.logging_config_pb2",
    "LoggingConfig": "tensorflow_serving.config.logging_config_pb2",
    "ModelConfig": "tensorflow_serving.config.model_server_config_pb2",
    "ModelConfigList": "tensorflow_serving.config.model_server_config_pb2",
    "ModelServerConfig": "tensorflow_serving.config.model_server_config_pb2",
    "Metric": "tensorflow_serving.apis.model_management_pb2",
    "ReloadConfigRequest": "tensorflow_serving.apis.model_management_pb2",
    "ReloadConfigResponse": "tensorflow_serving.apis.model_management_pb2",
    "ClassifyLog": "tensorflow_serving.apis.prediction_log_pb2",
    "RegressLog": "tensorflow_serving.apis.prediction_log_pb2",
    "PredictLog": "tensorflow_serving.apis.prediction_log_pb2",
    "MultiInferenceLog": "tensorflow_serving.apis.prediction_log_pb2",
    "SessionRunLog": "tensorflow_serving.apis.prediction_log_pb2",
    "PredictionLog": "tensorflow_serving.apis.prediction_log_pb2",
    "StringValue": "google.protobuf.wrappers_pb2",
    "BoolValue": "google.protobuf.wrappers_pb2",
    "ProfileOptions": "tensorflow.tsl.profiler.protobuf.profiler_options_pb2",
}
# Compared inside of ModelConfig, or in no module of the official packages.
NESTED = {"ServableVersionPolicy"}
UNPUBLISHED = {
    "BatchingParameters",
    "PrometheusConfig",
    "MonitoringConfig",
    "SSLConfig",
    "HealthCheckRequest",
    "HealthCheckResponse",
    *("ProfileRequest", "ProfileResponse", "TerminateRequest", "TerminateResponse"),
    *("MonitorRequest", "MonitorResponse"),
    *("ServerReflectionRequest", "ServerReflectionResponse", "FileDescriptorResponse", "ErrorResponse"),
    *("ListServiceResponse", "ServiceResponse"),
}
PACKED_AS_BYTES = {"float_val", "double_val", "scomplex_val", "dcomplex_val"}
MESSAGES_AS_BYTES = {"resource_handle_val", "variant_val", "examples", "context"}


def test_every_message_is_compared() -> None:
    assert set(messages.__all__) == set(OFFICIAL) | NESTED | UNPUBLISHED  # type: ignore[attr-defined]


@pytest.mark.parametrize("message", ["TensorProto", "ModelServerConfig"])
def test_the_descriptor_is_that_of_the_source(message: str) -> None:
    file = getattr(messages, message).DESCRIPTOR.file
    source = Path(messages.__file__).with_name(file.name).read_text()
    written = sorted(re.findall(r"^ *(?:repeated )?[a-zA-Z][\w<>, ]* (\w+) = (\d+);", source, re.M))

    def fields(message: Any) -> Any:
        yield from ((field.name, str(field.number)) for field in message.fields)
        for nested in message.nested_types:
            if not nested.GetOptions().map_entry:
                yield from fields(nested)

    compiled = sorted(field for message in file.message_types_by_name.values() for field in fields(message))
    assert written == compiled


@pytest.mark.parametrize("name", OFFICIAL)
def test_fields_have_the_official_names_numbers_and_types(name: str) -> None:
    module = __import__(OFFICIAL[name], fromlist=["_"])
    official = getattr(module, name.removeprefix("Default")).DESCRIPTOR
    assert_same_fields(getattr(messages, name).DESCRIPTOR, official, exact=name != "TensorProto")


def assert_same_fields(ours: Any, official: Any, *, exact: bool) -> None:
    for field in ours.fields:
        theirs = official.fields_by_name[field.name]
        assert field.number == theirs.number, field.full_name
        assert field.is_repeated == theirs.is_repeated, field.full_name
        same_wire_form = {field.type, theirs.type} == {field.TYPE_INT32, field.TYPE_ENUM}
        if field.name in MESSAGES_AS_BYTES or (not exact and field.name in PACKED_AS_BYTES):
            assert field.type == field.TYPE_BYTES
        else:
            assert field.type == theirs.type or same_wire_form, field.full_name
        if field.message_type and field.message_type.name in NESTED:
            assert_same_fields(field.message_type, theirs.message_type, exact=True)
        if field.enum_type:
            official_values = {value.name: value.number for value in theirs.enum_type.values}
            assert {
                value.name: value.number for value in field.enum_type.values
            }.items() <= official_values.items()
    for nested in ours.nested_types:
        assert_same_fields(nested, official.nested_types_by_name[nested.name], exact=exact)


def every_array() -> st.SearchStrategy[Array]:
    shapes = st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    numeric = [
        "float32",
        "float64",
        "float16",
        "int8",
        "uint8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
    ]
    numbers = st.sampled_from([*numeric, "uint64", "bool", "complex64", "complex128"]).flatmap(
        lambda dtype: st_numpy.arrays(dtype, shapes)
    )
    bfloat16 = st_numpy.arrays("float32", shapes).map(lambda array: array.astype(ml_dtypes.bfloat16))
    strings = st_numpy.arrays(object, shapes, elements=st.binary(max_size=200), fill=st.nothing())
    return numbers | bfloat16 | strings


def assert_same(found: Array, array: Array) -> None:
    assert found.dtype == array.dtype
    if array.dtype == ml_dtypes.bfloat16:  # whose NaNs NumPy does not take for equal
        found, array = found.astype(np.float32), array.astype(np.float32)
    np.testing.assert_array_equal(found, array)


def ours(array: Array, *, as_content: bool) -> messages.TensorProto:
    proto = messages.TensorProto()
    tensors.write(array, proto, as_content=as_content)
    return messages.TensorProto.FromString(proto.SerializeToString())


@given(every_array(), st.booleans())
@pytest.mark.filterwarnings("ignore:overflow")
def test_tensorflow_reads_our_messages(array: Array, as_content: bool) -> None:
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    serialized = ours(array, as_content=as_content).SerializeToString()
    found = tf.make_ndarray(tensor_pb2.TensorProto.FromString(serialized))
    assert_same(found, array)


@given(every_array(), st.booleans())
@pytest.mark.filterwarnings("ignore:overflow")
def test_messages_of_tensorflow_are_read(array: Array, as_content: bool) -> None:
    import tensorflow as tf

    tensor = tf.constant(array, tf.string if array.dtype == object else None)
    # The op that servers and recorders use writes blocks, the Python function typed values and short forms.
    official = (
        tf.io.serialize_tensor(tensor).numpy()
        if as_content
        else tf.make_tensor_proto(array).SerializeToString()
    )
    found = tensors.read(messages.TensorProto.FromString(official))
    assert_same(found, array)


@given(every_array(), st.booleans())
@pytest.mark.filterwarnings("ignore:overflow")
def test_our_messages_are_read(array: Array, as_content: bool) -> None:
    found = tensors.read(ours(array, as_content=as_content))
    assert_same(found, array)


def test_unpacked_values_are_read() -> None:
    """Check fixed32 entries instead of one packed field, which the wire format allows."""
    from tensorflow.core.framework import tensor_pb2

    unpacked = b"".join(b"\x2d" + np.float32(value).tobytes() for value in (1.5, -2.0, 3.25))
    shape = ours(np.zeros(3, np.float32), as_content=True)
    shape.tensor_content = b""
    serialized = shape.SerializeToString() + unpacked
    assert list(tensor_pb2.TensorProto.FromString(serialized).float_val) == [1.5, -2.0, 3.25]
    np.testing.assert_array_equal(
        tensors.read(messages.TensorProto.FromString(serialized)), [1.5, -2.0, 3.25]
    )


def test_few_values_repeat_the_last_and_none_are_zeros() -> None:
    proto = ours(np.zeros((0,), np.float32), as_content=False)
    proto.tensor_shape.dim[0].size = 3
    np.testing.assert_array_equal(tensors.read(proto), [0, 0, 0])
    proto.float_val.append(np.float32([1, 2]).tobytes())
    np.testing.assert_array_equal(tensors.read(proto), [1, 2, 2])
    proto.float_val.append(np.float32([3, 4]).tobytes())  # more than the shape has room for
    np.testing.assert_array_equal(tensors.read(proto), [1, 2, 3])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda proto: setattr(proto, "dtype", 20), "dtype number 20"),
        (lambda proto: setattr(proto, "dtype", 99), "dtype number 99"),
        (lambda proto: setattr(proto.tensor_shape, "unknown_rank", True), "not fully known"),
        (lambda proto: setattr(proto.tensor_shape.dim[0], "size", -1), "not fully known"),
        (lambda proto: setattr(proto.tensor_shape.dim[0], "size", 3), "8 bytes for 3 values"),
        (lambda proto: setattr(proto.tensor_shape.dim[0], "size", 2**62), "8 bytes for"),
        (lambda proto: setattr(proto, "tensor_content", b"abc"), "3 bytes for 2 values"),
    ],
)
def test_an_invalid_tensor_is_refused(change: Any, reason: str) -> None:
    proto = ours(np.zeros(2, np.float32), as_content=True)
    change(proto)
    with pytest.raises(ValueError, match=reason):
        tensors.read(proto)


def test_a_small_message_allocates_no_terabytes() -> None:
    proto = ours(np.float32([1]), as_content=False)
    proto.tensor_shape.dim[0].size = 2**40
    with pytest.raises(ValueError, match="too large to fill up"):
        tensors.read(proto)


@given(st.binary(max_size=30), st.integers(0, 5))
def test_any_block_of_strings_is_read_or_refused(content: bytes, count: int) -> None:
    proto = messages.TensorProto()
    proto.dtype = dtypes.by_name("string").number
    proto.tensor_shape.dim.add(size=count)
    proto.tensor_content = content
    try:
        assert tensors.read(proto).shape == (count,)
    except ValueError:
        assert content


_COEXIST = """
import sys
{first}
{second}
import numpy as np
from google.protobuf.internal import api_implementation
from keras_dl_serving.protocol.wire import messages, tensors
from tensorflow_serving.apis import predict_pb2
request = messages.PredictRequest()
request.model_spec.name = "m"
tensors.write(np.float32([[1, 2]]), request.inputs["x"], as_content=False)
official = predict_pb2.PredictRequest.FromString(request.SerializeToString())
assert list(official.inputs["x"].float_val) == [1, 2], official
answer = messages.PredictRequest.FromString(official.SerializeToString())
assert tensors.read(answer.inputs["x"]).tolist() == [[1, 2]]
print(api_implementation.Type())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("implementation", "tensorflow_first"), [("upb", True), ("upb", False), ("python", True)]
)
def test_both_protocols_work_in_one_process(implementation: str, tensorflow_first: bool) -> None:
    imports = ["import tensorflow_serving.apis.predict_pb2", "import keras_dl_serving.protocol.wire.messages"]
    first, second = imports if tensorflow_first else reversed(imports)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", None)
    if implementation != "upb":  # the default
        environment["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = implementation
    command = [sys.executable, "-c", _COEXIST.format(first=first, second=second)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == implementation, done.stderr
