"""Classify, regress and multi-inference, over both protocols, called with the official stubs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from keras_dl_serving import Server

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


@pytest.fixture(scope="module")
def prediction(server: Server) -> Iterator[Any]:
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def fill(request: Any, name: str, signature: str, *values: float) -> Any:
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    return add_examples(request, *values)


def add_examples(request: Any, *values: float) -> Any:
    for value in values:
        feature = request.input.example_list.examples.add().features.feature
        feature["x"].float_list.value.append(value)
    return request


def failure(call: Any, request: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=20)
    return caught.value.code().name, caught.value.details()


def post(server: Server, verb: str, content: str) -> tuple[int, Any]:
    response = httpx.post(f"{server.rest_url}/v1/models/examples:{verb}", content=content, timeout=20)
    assert response.headers["content-type"] == "application/json"
    return response.status_code, response.json()


def test_grpc_regress_and_classify(prediction: Any) -> None:
    from tensorflow_serving.apis import classification_pb2, regression_pb2

    response = prediction.Regress(fill(regression_pb2.RegressionRequest(), "examples", "", 1, -8), timeout=20)
    assert [each.value for each in response.result.regressions] == [2.5, -2.0]
    assert response.model_spec.name == "examples"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"
    request = fill(classification_pb2.ClassificationRequest(), "examples", "classify", 3)
    (row,) = prediction.Classify(request, timeout=20).result.classifications
    assert [(each.label, each.score) for each in row.classes] == [("a", 3.0), ("b", -3.0)]
    request.model_spec.signature_name = "scores"
    (row,) = prediction.Classify(request, timeout=20).result.classifications
    assert [(each.label, each.score) for each in row.classes] == [("", 3.0), ("", -3.0)]


def test_a_context_is_merged_into_every_example(prediction: Any) -> None:
    from tensorflow_serving.apis import regression_pb2

    request = regression_pb2.RegressionRequest()
    request.model_spec.name = "examples"
    listed = request.input.example_list_with_context
    listed.context.features.feature["x"].float_list.value.append(6)
    listed.examples.add()
    listed.examples.add().features.feature["x"].float_list.value.append(2)
    values = [each.value for each in prediction.Regress(request, timeout=20).result.regressions]
    assert values == [5.0, 3.0]


def test_multi_inference(prediction: Any) -> None:
    from tensorflow_serving.apis import inference_pb2

    request = add_examples(inference_pb2.MultiInferenceRequest(), 4)
    for signature, method in (("", REGRESS), ("classify", CLASSIFY)):
        task = request.tasks.add(method_name=method)
        task.model_spec.name = "examples"
        task.model_spec.signature_name = signature
    regressed, classified = prediction.MultiInference(request, timeout=20).results
    assert regressed.regression_result.regressions[0].value == 4.0
    assert regressed.model_spec.signature_name == "serving_default"
    assert classified.classification_result.classifications[0].classes[1].score == -4.0

    request.tasks[1].model_spec.signature_name = ""
    expected = ("INVALID_ARGUMENT", "Duplicate evaluation of signature: serving_default")
    assert failure(prediction.MultiInference, request) == expected
    request.tasks[1].model_spec.name = "linear"
    expected = (
        "INVALID_ARGUMENT",
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    )
    assert failure(prediction.MultiInference, request) == expected


def test_grpc_errors(prediction: Any) -> None:
    from tensorflow_serving.apis import classification_pb2, regression_pb2

    regression, classification = regression_pb2.RegressionRequest, classification_pb2.ClassificationRequest
    assert failure(prediction.Regress, regression()) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    for call, request, message in (
        (prediction.Regress, fill(regression(), "examples", ""), "Input is empty."),
        (
            prediction.Regress,
            fill(regression(), "examples", "s", 1),
            "No signature was found with the name: s",
        ),
        (prediction.Classify, fill(classification(), "two_inputs", "", 1), "Expected one input Tensor."),
        (prediction.Regress, fill(regression(), "linear", "", 1), "Expected one output Tensor."),
    ):
        assert failure(call, request) == ("INVALID_ARGUMENT", message)


def test_rest(server: Server) -> None:
    assert post(server, "regress", '{"examples": [{"x": 1.0}, {"x": [3.0]}]}') == (
        200,
        {"results": [2.5, 3.5]},
    )
    body = '{"signature_name": "classify", "examples": [{"x": 0.5}]}'
    assert post(server, "classify", body) == (200, {"results": [[["a", 0.5], ["b", -0.5]]]})
    body = '{"context": {"x": 2.0}, "examples": [{}, {"x": 4.0}]}'
    assert post(server, "regress", body) == (200, {"results": [3.0, 4.0]})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"x": 1}', "When method is classify, key 'examples' is expected and was not found"),
        ('{"examples": 1}', "Expecting 'examples' value to be an list/array"),
        ('{"examples": []}', "'examples' value is an empty array"),
        ('{"examples": [[1]]}', "Example must be JSON object but got JSON Array"),
        ('{"examples": [{"f": null}]}', "Feature: f has element with unexpected JSON type: Null"),
        ('{"examples": [{"f": {"a": 1}}]}', "Feature: f has element with unexpected JSON type: Object"),
        ('{"examples": [{"f": [[1]]}]}', "Feature: f has element with unexpected JSON type: Array"),
        ('{"examples": [{"f": [1, 1.5]}]}', "Unexpected element type in feature: f expecting type: int64"),
        ('{"examples": [{"f": ["a", true]}]}', "Unexpected element type in feature: f expecting type: bytes"),
        ('{"examples": [{"f": 18446744073709551615}]}', "Feature: f has uint64 element"),
        ("", "JSON Parse error: The document is empty"),
    ],
)
def test_rest_errors(server: Server, body: str, message: str) -> None:
    for verb in ("classify", "regress"):
        status, document = post(server, verb, body)
        assert status == 400
        assert message in document["error"]


def test_examples_match_the_official_messages() -> None:
    import tensorflow as tf

    from keras_dl_serving.protocol.json.json_examples import parse_examples

    _, request = parse_examples(b'{"examples": [{"i": [true, 2], "f": 1.5, "b": ["u", {"b64": "AAE="}]}]}')
    (serialized,) = request.example_list.examples
    features = tf.train.Example.FromString(serialized).features.feature
    assert list(features["i"].int64_list.value) == [1, 2]
    assert list(features["f"].float_list.value) == [1.5]
    assert list(features["b"].bytes_list.value) == [b"u", b"\x00\x01"]
