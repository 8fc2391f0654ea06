"""The REST API, called over a socket."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_dl_serving import Code, NotFoundError, Server, StatusError
from keras_dl_serving.server.core import Core
from keras_dl_serving.server.releases import VersionFolder
from keras_dl_serving.server.rest_api import RestApi
from tests._support.fake_engine import FakeEngine, folder
from tests._support.served_models import WEIGHTS


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert self.headers["content-type"] == "application/json"
        document = self.json
        assert document.keys() == {"error"}
        return str(document["error"])


Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def ask(server: Server) -> Ask:
    def ask(method: str, path: str, body: bytes | str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("localhost", server.rest_port, timeout=20)
        try:
            connection.request(
                method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
            )
            response = connection.getresponse()
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        finally:
            connection.close()

    return ask


# ---- predict


@pytest.mark.parametrize("path", ["half_plus_two", "half_plus_two/versions/123", "half%5Fplus%5ftwo"])
def test_rows(ask: Ask, path: str) -> None:
    answer = ask("POST", f"/v1/models/{path}:predict", '{"instances": [[1.0, 2.0], [3, 4]]}')
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {"predictions": [[2.5, 3.0], [3.5, 4.0]]}


def test_columns(ask: Ask) -> None:
    assert ask("POST", "/v1/models/half_plus_two:predict", '{"inputs": 2}').json == {"outputs": 3.0}
    body = '{"inputs": {"x": [1]}, "signature_name": "serving_default"}'
    assert ask("POST", "/v1/models/half_plus_two:predict", body).json == {"outputs": [2.5]}


def test_several_outputs_and_another_signature(ask: Ask) -> None:
    x = np.float32([[1, 2, 3], [0.5, -1, 4]])
    body = json.dumps({"instances": x.tolist()})
    rows = ask("POST", "/v1/models/linear:predict", body).json["predictions"]
    np.testing.assert_allclose([row["y"] for row in rows], x @ WEIGHTS, rtol=1e-6)
    np.testing.assert_allclose([row["total"] for row in rows], x.sum(axis=1), rtol=1e-6)
    body = json.dumps({"inputs": x.tolist(), "signature_name": "mean"})
    assert ask("POST", "/v1/models/linear:predict", body).json["outputs"] == pytest.approx(x.mean(), rel=1e-5)


def test_two_inputs_and_base64_out(ask: Ask) -> None:
    body = '{"instances": [{"image": [[1, 2], [3, 4]], "label": 5}]}'
    assert ask("POST", "/v1/models/two_inputs:predict", body).json == {
        "predictions": [{"label_bytes": {"b64": "NQ=="}, "sum": 15.0}]
    }


def test_non_finite_numbers_pass_both_ways(ask: Ask) -> None:
    answer = ask("POST", "/v1/models/half_plus_two:predict", '{"instances": [NaN, -Infinity, 1e39]}')
    assert answer.body.decode() == '{\n    "predictions": [NaN, -Infinity, Infinity\n    ]\n}'


def test_gzip_bodies(ask: Ask) -> None:
    body = gzip.compress(b'{"instances": [1.0]}')
    answer = ask("POST", "/v1/models/half_plus_two:predict", body, content_encoding="gzip")
    assert answer.json == {"predictions": [2.5]}
    answer = ask("POST", "/v1/models/half_plus_two:predict", b"not gzip", content_encoding="gzip")
    assert (answer.status, answer.error) == (400, "JSON Parse error: The document is empty")


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("half_plus_two", "", 400, "JSON Parse error: The document is empty"),
        (
            "half_plus_two",
            "[1",
            400,
            "JSON Parse error: Missing a comma or ']' after an array element. at offset: 2",
        ),
        # The document is looked at before the model, and its signature before its values.
        (
            "nobody",
            "[1",
            400,
            "JSON Parse error: Missing a comma or ']' after an array element. at offset: 2",
        ),
        ("nobody", "{}", 404, "Servable not found for request: Latest(nobody)"),
        (
            "half_plus_two/versions/99",
            "{}",
            404,
            "Servable not found for request: Specific(half_plus_two, 99)",
        ),
        ("half_plus_two/labels/stable", "{}", 400, "Unrecognized servable version label: stable"),
        ("..%2f..%2fetc", "{}", 404, "Servable not found for request: Latest(../../etc)"),
        (
            "half_plus_two/versions/99999999999999999999",
            "{}",
            400,
            "Failed to convert version: 99999999999999999999 to numeric.",
        ),
        (
            "half_plus_two",
            '{"signature_name": "s"}',
            400,
            'Serving signature name: "s" not found in signature def',
        ),
        ("half_plus_two", "{}", 400, "Missing 'inputs' or 'instances' key"),
        (
            "echo",
            '{"signature_name": "float16", "inputs": 1}',
            501,
            "Conversion of JSON Value: 1 to type: half",
        ),
        (
            "linear",
            '{"signature_name": "mean", "instances": [[1, 2, 3]]}',
            400,
            "Tensor name: mean has no shape ",
        ),
        (
            "two_inputs",
            '{"signature_name": "pick", "instances": [{"image": [[1, 2], [3, 4]], "label": 0}]}',
            400,
            "Tensor name: label has inconsistent batch size: 1 expecting: 2",
        ),
    ],
)
def test_predict_errors(ask: Ask, path: str, body: str, status: int, message: str) -> None:
    answer = ask("POST", f"/v1/models/{path}:predict", body)
    assert answer.status == status
    assert answer.error.startswith(message)


def test_messages_of_the_runtime_are_passed_on(ask: Ask) -> None:
    answer = ask("POST", "/v1/models/linear:predict", '{"instances": [[1, 2]]}')
    assert answer.status == 400
    assert answer.error.startswith("Matrix size-incompatible: In[0]: [1,2], In[1]: [3,2]")


# ---- status and metadata


def test_status(ask: Ask) -> None:
    expected = {
        "model_version_status": [
            {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    assert ask("GET", "/v1/models/half_plus_two").json == expected
    assert ask("GET", "/v1/models/half_plus_two/versions/123").json == expected
    assert ask("GET", "/v1/models/half_plus_two/labels/whatever").json == expected  # as the original does


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("", 400, "Missing model name in request."),
        ("/metadata", 404, "Could not find any versions of model metadata"),
        ("/versions/3/metadata", 400, "Missing model name in request."),
        ("/versions/3", 400, "Missing model name in request."),
        ("/nobody", 404, "Could not find any versions of model nobody"),
        ("/half_plus_two/versions/7", 404, "Could not find version 7 of model half_plus_two"),
        (
            "/half_plus_two/versions/7/metadata",
            404,
            "Servable not found for request: Specific(half_plus_two, 7)",
        ),
        ("/half_plus_two/labels/l/metadata", 400, "Unrecognized servable version label: l"),
        (
            "/m/versions/9223372036854775808",
            400,
            "Failed to convert version: 9223372036854775808 to numeric.",
        ),
    ],
)
def test_status_and_metadata_errors(ask: Ask, path: str, status: int, message: str) -> None:
    answer = ask("GET", f"/v1/models{path}")
    assert (answer.status, answer.error) == (status, message)


def test_status_is_200_while_a_version_is_loading_and_after_it_failed() -> None:
    asked: list[httpx.Response] = []

    def load(_: VersionFolder) -> FakeEngine:
        asked.append(asyncio.run(ask_app(core, "GET", "/v1/models/m")))
        raise NotFoundError("nothing there")

    core = Core(load)
    core.serve({"m": [folder(1)]})
    asked.append(asyncio.run(ask_app(core, "GET", "/v1/models/m")))
    states = [answer.json()["model_version_status"][0] for answer in asked]
    assert [answer.status_code for answer in asked] == [200, 200]
    assert [state["state"] for state in states] == ["LOADING", "END"]
    assert states[1]["status"] == {"error_code": "NOT_FOUND", "error_message": "nothing there"}


@pytest.mark.parametrize(
    ("name", "version"),
    [("half_plus_two", 123), ("linear", 3), ("two_inputs", 1), ("echo", 1), ("with_default", 1)],
)
def test_metadata_matches_the_official_messages(ask: Ask, releases: Any, name: str, version: int) -> None:
    from google.protobuf import json_format
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap

    saved = saved_model_pb2.SavedModel.FromString(
        (releases / name / str(version) / "saved_model.pb").read_bytes()
    )
    official = SignatureDefMap(signature_def=dict(saved.meta_graphs[0].signature_def))
    printed = json_format.MessageToDict(
        official, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    assert ask("GET", f"/v1/models/{name}/metadata").json == {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": printed},
    }


# ---- routing


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/foo"),
        ("POST", "/v1/foo"),
        ("GET", "/v1/models/a/b"),
        ("GET", "/v1/models/foo:predict"),
        ("POST", "/v1/models"),
        ("POST", "/v1/models/foo"),
        ("POST", "/v1/models/foo/metadata"),
        ("POST", "/v1/models/foo/version/50:predict"),
        ("POST", "/v1/models/foo/versions/x:predict"),
        ("POST", "/v1/models/foo/versions/1/labels/l:predict"),
        ("POST", "/v1/models/foo:predict?x=1"),
        ("POST", "/v1/models/foo:PREDICT"),
        ("PUT", "/v1/models/foo:predict"),
        ("DELETE", "/v1/models/foo"),
        ("GET", "/V1/Nothing"),
    ],
)
def test_malformed_requests(ask: Ask, method: str, path: str) -> None:
    answer = ask(method, path, b"{}" if method == "POST" else None)
    assert (answer.status, answer.error) == (400, f"Malformed request: {method} {path}")


def test_paths_match_in_any_case_and_as_a_whole(ask: Ask) -> None:
    body = '{"instances": [1.0]}'
    assert ask("POST", "/V1/Models/half_plus_two/VERSIONS/123:predict", body).status == 200
    assert (
        ask("GET", "/v1/models/half_plus_two?x").error
        == "Could not find any versions of model half_plus_two?x"
    )


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models", "/favicon.ico"])
def test_other_paths_are_not_found(ask: Ask, path: str) -> None:
    assert ask("GET", path).status == 404


def test_preflight(ask: Ask) -> None:
    allowed = ask("OPTIONS", "/v1/models/half_plus_two:predict", origin="https://example.org")
    assert allowed.status == 200
    assert not any(name.startswith("access-control") for name in allowed.headers)  # only by flag
    answer = ask("OPTIONS", "/v1/models/half_plus_two:predict")
    assert (answer.status, answer.error) == (400, "Origin header is missing in CORS preflight")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "HEAD"]),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"]), max_size=20),
    st.binary(max_size=30) | st.text('{}[]":,instancebx0.1-e', max_size=30).map(str.encode),
)
def test_no_request_causes_a_server_error(ask: Ask, method: str, path: str, body: bytes) -> None:
    for prefix in ("/", "/v1/models/half_plus_two"):
        assert ask(method, prefix + path, body or None).status in (200, 400, 404)
    assert ask("POST", "/v1/models/half_plus_two:predict", body).status in (200, 400)


# ---- statuses


async def ask_app(core: Core, method: str, path: str, content: bytes = b"") -> httpx.Response:
    app = RestApi(core)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.request(method, path, content=content)
    app.close()
    return answer


def answer_of(engine: FakeEngine) -> httpx.Response:
    core = Core(lambda _: engine)
    core.serve({"m": [folder(1)]})
    try:
        return asyncio.run(ask_app(core, "POST", "/v1/models/m:predict", b'{"instances": [1]}'))
    finally:
        core.close()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.CANCELLED, 499),
        (Code.UNKNOWN, 500),
        (Code.INVALID_ARGUMENT, 400),
        (Code.DEADLINE_EXCEEDED, 504),
        (Code.NOT_FOUND, 404),
        (Code.ALREADY_EXISTS, 409),
        (Code.PERMISSION_DENIED, 403),
        (Code.RESOURCE_EXHAUSTED, 429),
        (Code.FAILED_PRECONDITION, 400),
        (Code.ABORTED, 409),
        (Code.OUT_OF_RANGE, 400),
        (Code.UNIMPLEMENTED, 501),
        (Code.INTERNAL, 500),
        (Code.UNAVAILABLE, 503),
        (Code.DATA_LOSS, 500),
        (Code.UNAUTHENTICATED, 401),
    ],
)
def test_every_code_has_its_http_status(code: Code, status: int) -> None:
    def fail(_: Any) -> Any:
        raise StatusError.of(code, "as it happens")

    answer = answer_of(FakeEngine(fail))
    assert (answer.status_code, answer.json()) == (status, {"error": "as it happens"})


def test_a_fault_in_the_server_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    answer = answer_of(FakeEngine(lambda x: 1 / 0))
    assert (answer.status_code, answer.json()) == (500, {"error": "ZeroDivisionError: division by zero"})
    assert "ZeroDivisionError" in caplog.text


def test_a_half_precision_output_cannot_be_written() -> None:
    answer = answer_of(FakeEngine(lambda x: x.astype(np.float16)))
    assert answer.status_code == 400
    assert answer.json() == {"error": "Failed to write JSON value for tensor type: half"}
