"""The gRPC API, called with the official stubs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_dl_serving import Server
from keras_dl_serving.server.settings import ServerSettings
from tests._support.served_models import ECHO_DTYPES, WEIGHTS, save_scale


@pytest.fixture(scope="module")
def stubs(server: Server) -> Iterator[SimpleNamespace]:
    """The official stubs of both services."""
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"localhost:{server.grpc_port}", options=options) as channel:
        yield SimpleNamespace(
            prediction=prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model=model_service_pb2_grpc.ModelServiceStub(channel),
            channel=channel,
        )


def predict_request(name: str, signature: str = "", version: int | None = None, **inputs: Any) -> Any:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def failure(call: Any, request: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=20)
    return caught.value.code().name, caught.value.details()


# ---- predict


def test_predict_returns_typed_fields_with_the_resolved_spec(stubs: SimpleNamespace) -> None:
    x = np.float32([[1, 2, 3], [0.5, -1, 4]])
    response = stubs.prediction.Predict(predict_request("linear", x=x), timeout=20)
    assert response.model_spec.name == "linear"
    assert response.model_spec.version.value == 3
    assert response.model_spec.signature_name == "serving_default"
    assert response.outputs.keys() == {"y", "total"}
    assert not response.outputs["y"].tensor_content
    assert [dim.size for dim in response.outputs["y"].tensor_shape.dim] == [2, 2]
    np.testing.assert_allclose(np.reshape(response.outputs["y"].float_val, (2, 2)), x @ WEIGHTS, rtol=1e-6)


def test_outputs_are_blocks_of_bytes_on_request(tmp_path: Path) -> None:
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    save_scale(tmp_path / "m" / "1", 2)
    options = ServerSettings(tensor_content=True)
    with (
        Server(tmp_path, rest_port=None, grpc_port=0, settings=options) as server,
        grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        output = stub.Predict(predict_request("m", x=np.float32([1, 2.5])), timeout=20).outputs["y"]
    assert not output.float_val
    assert np.frombuffer(output.tensor_content, "<f4").tolist() == [2, 5]


def test_an_old_saved_model_is_served(stubs: SimpleNamespace) -> None:
    response = stubs.prediction.Predict(
        predict_request("half_plus_two", version=123, x=np.float32([1, 2])), timeout=20
    )
    assert list(response.outputs["y"].float_val) == [2.5, 3.0]


def test_output_filter(stubs: SimpleNamespace) -> None:
    request = predict_request("linear", x=np.zeros((1, 3), np.float32))
    request.output_filter.append("total")
    assert stubs.prediction.Predict(request, timeout=20).outputs.keys() == {"total"}
    request.output_filter.append("total")
    assert failure(stubs.prediction.Predict, request) == (
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: total",
    )
    request.output_filter[:] = ["nothing"]
    assert failure(stubs.prediction.Predict, request) == (
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: nothing Outputs expected to be in the set {total,y}.",
    )


@pytest.mark.parametrize("dtype", ECHO_DTYPES)
def test_every_dtype_makes_the_round_trip(stubs: SimpleNamespace, dtype: str) -> None:
    import tensorflow as tf

    kind = tf.as_dtype(dtype).as_numpy_dtype
    values = [b"a", b"\xff\x00", b""] if dtype == "string" else np.array([0, 1, 1]).astype(kind)
    request = predict_request("echo", dtype, x=values)
    content = predict_request("echo", dtype)
    content.inputs["x"].ParseFromString(tf.io.serialize_tensor(tf.constant(values, dtype)).numpy())
    for each in (request, content):
        response = stubs.prediction.Predict(each, timeout=20)
        found = tf.make_ndarray(response.outputs["y"])
        assert response.outputs["y"].dtype == tf.as_dtype(dtype).as_datatype_enum
        assert found.tolist() == list(values)


def test_messages_above_four_megabytes(stubs: SimpleNamespace) -> None:
    x = np.random.default_rng(0).normal(size=(2, 1024, 1024)).astype(np.float32)
    response = stubs.prediction.Predict(predict_request("echo", "float32", x=x), timeout=60)
    np.testing.assert_array_equal(np.reshape(response.outputs["y"].float_val, x.shape), x)


def test_predict_lookups_that_fail(stubs: SimpleNamespace) -> None:
    predict = stubs.prediction.Predict
    x = np.zeros((1, 3), np.float32)
    assert failure(predict, predict_request("m", x=x)) == (
        "NOT_FOUND",
        "Servable not found for request: Latest(m)",
    )
    assert failure(predict, predict_request("linear", version=99, x=x)) == (
        "NOT_FOUND",
        "Servable not found for request: Specific(linear, 99)",
    )
    assert failure(predict, predict_request("")) == ("INVALID_ARGUMENT", "ModelSpec has no name specified.")
    assert failure(predict, type(predict_request("m"))()) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    assert failure(predict, predict_request("linear", "s", x=x)) == (
        "FAILED_PRECONDITION",
        'Serving signature key "s" not found.',
    )
    labeled = predict_request("linear", x=x)
    labeled.model_spec.version_label = "stable"
    assert failure(predict, labeled) == ("INVALID_ARGUMENT", "Unrecognized servable version label: stable")


def test_predict_inputs_that_do_not_match(stubs: SimpleNamespace) -> None:
    predict = stubs.prediction.Predict
    x = np.zeros((1, 3), np.float32)
    assert failure(predict, predict_request("linear", x=x, z=x)) == (
        "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. "
        "Missing but required: {}.",
    )
    assert failure(predict, predict_request("two_inputs", label=np.int32([1]))) == (
        "INVALID_ARGUMENT",
        "input size does not match signature: 1!=2 len({label}) != len({image,label}). Sent extra: {}. "
        "Missing but required: {image}.",
    )
    assert failure(predict, predict_request("linear", z=x)) == (
        "INVALID_ARGUMENT",
        "Signature input alias: x(feed name: serving_default_x:0) not found in request and no default value "
        "provided. Inputs expected to be in the request {z}, or default input alias set: ",
    )
    broken = predict_request("linear", x=x)
    broken.inputs["x"].tensor_content = b"abc"
    assert failure(predict, broken) == ("INVALID_ARGUMENT", "tensor parsing error: x")
    code, details = failure(predict, predict_request("linear", x=x.astype(np.float64)))
    assert code == "INVALID_ARGUMENT"
    assert "double" in details
    assert "float" in details


def test_inputs_with_a_default_may_be_missing(stubs: SimpleNamespace) -> None:
    predict = stubs.prediction.Predict
    x, scale = np.float32([1, 2]), np.float32(5)
    assert list(predict(predict_request("with_default", x=x), timeout=20).outputs["y"].float_val) == [2, 4]
    given = predict(predict_request("with_default", x=x, scale=scale), timeout=20)
    assert list(given.outputs["y"].float_val) == [5, 10]
    assert failure(predict, predict_request("with_default", scale=scale)) == (
        "INVALID_ARGUMENT",
        "Signature input alias: x(feed name: serving_default_x:0) not found in request and no default value "
        "provided. Inputs expected to be in the request {scale}, or default input alias set: scale",
    )
    assert failure(predict, predict_request("with_default", x=x, z=x)) == (
        "INVALID_ARGUMENT",
        "Inputs contains invalid name. Used request inputs: x, request input: x,z",
    )


def test_long_messages_are_cut(stubs: SimpleNamespace) -> None:
    _, details = failure(stubs.prediction.Predict, predict_request("linear", "s" * 2000))
    expected = 'Serving signature key "' + "s" * 2000
    assert details == expected[:1024] + "...TRUNCATED"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_mutated_requests_are_answered(stubs: SimpleNamespace, data: st.DataObject) -> None:
    valid = predict_request("linear", x=np.zeros((1, 3), np.float32)).SerializeToString()
    message = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    raw = stubs.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    outcome = raw.future(bytes(message), timeout=20)
    # INTERNAL is gRPC's own answer to bytes that are no message.
    known = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}
    assert outcome.code().name in known or "deserializing" in outcome.details(), outcome


# ---- metadata and status


def metadata_request(name: str | None, *fields: str) -> Any:
    from tensorflow_serving.apis import get_model_metadata_pb2

    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    if name is not None:
        request.model_spec.name = name
    return request


@pytest.mark.parametrize(("name", "version"), [("half_plus_two", 123), ("linear", 3), ("echo", 1)])
def test_metadata_match_the_signatures_of_the_file(
    stubs: SimpleNamespace, releases: Any, name: str, version: int
) -> None:
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap

    response = stubs.prediction.GetModelMetadata(metadata_request(name, "signature_def"), timeout=20)
    assert response.model_spec.name == name
    assert response.model_spec.version.value == version
    found = SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    saved = saved_model_pb2.SavedModel.FromString(
        (releases / name / str(version) / "saved_model.pb").read_bytes()
    )
    assert dict(found.signature_def) == dict(saved.meta_graphs[0].signature_def)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((None, "signature_def"), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (("linear",), "INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field"),
        (("linear", "weights"), "INVALID_ARGUMENT", "Metadata field weights is not supported"),
        (("m", "signature_def"), "NOT_FOUND", "Servable not found for request: Latest(m)"),
    ],
)
def test_metadata_errors(stubs: SimpleNamespace, arguments: Any, code: str, message: str) -> None:
    assert failure(stubs.prediction.GetModelMetadata, metadata_request(*arguments)) == (code, message)


def test_status(stubs: SimpleNamespace) -> None:
    from tensorflow_serving.apis import get_model_status_pb2

    request = get_model_status_pb2.GetModelStatusRequest()
    assert failure(stubs.model.GetModelStatus, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    request.model_spec.name = "linear"
    (version,) = stubs.model.GetModelStatus(request, timeout=20).model_version_status
    assert version.version == 3
    assert version.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert (version.status.error_code, version.status.error_message) == (0, "")
    request.model_spec.version.value = 7
    expected = ("NOT_FOUND", "Could not find version 7 of model linear")
    assert failure(stubs.model.GetModelStatus, request) == expected
