"""Malformed requests, as many as KERAS_DL_BAD_REQUESTS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_dl_serving import Server
from keras_dl_serving.protocol.wire import messages, tensors
from tests._support.bad_requests import bad_requests
from tests._support.served_models import ECHO_DTYPES

numbers = st.sampled_from(
    [0, 1, -1, 2.5, 1e39, 2**40, 10**30, True, None, "text", {"b64": "AA=="}, {"b64": 1}]
)
values = st.recursive(numbers, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
objects = st.dictionaries(st.sampled_from(["x", "image", "label", "nothing"]), values, max_size=3)
documents = st.dictionaries(
    st.sampled_from(["instances", "inputs", "signature_name", "examples", "context"]),
    values
    | objects
    | st.lists(objects, max_size=3)
    | st.sampled_from([*ECHO_DTYPES, "mean", "pick", "classify"]),
    max_size=3,
)
bodies = documents.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=40)
names = st.sampled_from(["linear", "echo", "two_inputs", "examples", "nobody", "..%2f..%2f", "%00", "%ff"])
which = st.sampled_from(
    ["", "/versions/1", "/versions/99", "/versions/9" + "9" * 30, "/labels/..%2f", "/labels/l"]
)
verbs = st.sampled_from([":predict", ":classify", ":regress", "/metadata", "", ":"])
paths = st.builds("/v1/models/{}{}{}".format, names, which, verbs)


@pytest.fixture(scope="module")
def asking(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.rest_url, timeout=20) as client:
        yield client


@bad_requests
@given(st.sampled_from(["POST", "POST", "GET", "PUT"]), paths, bodies, st.booleans())
def test_rest_responds_to_any_request(
    asking: httpx.Client, method: str, path: str, body: bytes, gzip: bool
) -> None:
    answer = asking.request(method, path, content=body, headers={"content-encoding": "gzip"} if gzip else {})
    # 501 is the original's answer to dtypes that JSON has no form for.
    assert answer.status_code in (200, 400, 404, 501), answer.text
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/json"
        assert json.loads(answer.content.decode("utf-8", "replace"))["error"]  # names are quoted as they came


def predict_request(model: str, x: Any) -> bytes:
    request = messages.PredictRequest()
    request.model_spec.name = model
    tensors.write(np.float32(x), request.inputs["x"], as_content=False)
    return request.SerializeToString()


def examples_request(kind: Any, signature: str) -> bytes:
    example = messages.Example()
    example.features.feature["x"].float_list.value.append(1.0)
    request = kind()
    request.model_spec.name = "examples"
    request.model_spec.signature_name = signature
    request.input.example_list.examples.append(example.SerializeToString())
    return bytes(request.SerializeToString())


def valid_requests() -> list[tuple[str, bytes]]:
    status = messages.GetModelStatusRequest()
    status.model_spec.name = "linear"
    metadata = messages.GetModelMetadataRequest(metadata_field=["signature_def"])
    metadata.model_spec.name = "linear"
    return [
        ("Predict", predict_request("linear", [[1, 2, 3]])),
        ("Predict", predict_request("half_plus_two", [1, 2, 3])),
        ("Classify", examples_request(messages.ClassificationRequest, "classify")),
        ("Regress", examples_request(messages.RegressionRequest, "serving_default")),
        ("GetModelMetadata", metadata.SerializeToString()),
        ("GetModelStatus", status.SerializeToString()),
    ]


def call(channel: grpc.Channel, method: str, message: bytes) -> str:
    service = "ModelService" if method == "GetModelStatus" else "PredictionService"
    outcome = channel.unary_unary(f"/tensorflow.serving.{service}/{method}").future(message, timeout=20)
    status: str = outcome.code().name
    return status if "deserializing" not in (outcome.details() or "") else "DESERIALIZING"


@pytest.fixture(scope="module")
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        yield channel


def test_the_requests_are_valid_before_they_are_changed(channel: grpc.Channel) -> None:
    assert {call(channel, *request) for request in valid_requests()} == {"OK"}


@bad_requests
@given(st.sampled_from(valid_requests()), st.data())
def test_grpc_responds_to_any_request(
    channel: grpc.Channel, request_: tuple[str, bytes], data: st.DataObject
) -> None:
    method, valid = request_
    message = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message)))
        removed = data.draw(st.integers(0, 2))
        message[at : at + removed] = data.draw(st.binary(max_size=3))
    status = call(channel, method, bytes(message))
    fine = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED", "DESERIALIZING"}
    assert status in fine


def test_a_message_of_the_runtime_may_quote_invalid_utf_8(channel: grpc.Channel) -> None:
    classify = messages.ClassificationRequest()
    classify.model_spec.name = "examples"
    classify.model_spec.signature_name = "classify"
    classify.input.example_list.examples.append(b"\xa0\xff")
    request = classify.SerializeToString()
    outcome = channel.unary_unary("/tensorflow.serving.PredictionService/Classify").future(
        request, timeout=20
    )
    assert outcome.code().name == "INVALID_ARGUMENT"
    assert "Could not parse example" in outcome.details()


def test_the_server_responds_as_before(asking: httpx.Client, channel: grpc.Channel) -> None:
    answer = asking.post("/v1/models/half_plus_two:predict", content='{"instances": [1.0]}')
    assert answer.json() == {"predictions": [2.5]}
    assert call(channel, "Predict", predict_request("half_plus_two", [1])) == "OK"
