"""What a server must survive, each as long and as often as the environment asks.

KERAS_DL_SOAK_SECONDS=600 KERAS_DL_BAD_REQUESTS=10000 pytest tests/keras_dl_serving/test_reliability.py
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_dl_serving import Client, Server
from keras_dl_serving.server.batching import BatchingOptions
from keras_dl_serving.server.core import Core, ModelSpec, State
from keras_dl_serving.server.loading import Loading
from keras_dl_serving.server.releases import VersionFolder
from keras_dl_serving.server.settings import Settings
from keras_dl_serving.wire import messages, tensors
from tests.keras_dl_serving.conftest import ECHO_DTYPES, save_scale
from tests.keras_dl_serving.test_model_server import free_port, running

SOAK_SECONDS = float(os.environ.get("KERAS_DL_SOAK_SECONDS", "4"))
SWAP_SECONDS = min(5.0, SOAK_SECONDS / 4)
BAD_REQUESTS = int(os.environ.get("KERAS_DL_BAD_REQUESTS", "300"))
bad_requests = settings(
    max_examples=BAD_REQUESTS, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


# ---- load and new versions


@pytest.mark.timeout(SOAK_SECONDS + 120)
@pytest.mark.parametrize("batching", [None, BatchingOptions(max_batch_size=8)])
def test_no_request_fails_while_versions_change(
    releases: Path, tmp_path: Path, batching: BatchingOptions | None
) -> None:
    """Versions of an ONNX file and a SavedModel come and go, a broken one among them."""
    save_scale(tmp_path / "scale" / "1", 1)
    shutil.copytree(releases / "linear" / "3", tmp_path / "linear" / "1")
    failures: list[BaseException] = []
    answered = [0]
    done = threading.Event()

    def load(url: str, model: str, array: Any, output: str, right: Callable[[Any], bool]) -> None:
        try:
            with Client(url) as client:
                while not done.is_set():
                    answer = client.predict(model, array)[output]
                    assert right(answer), answer
                    answered[0] += 1
        except BaseException as error:
            failures.append(error)

    one, ones = np.ones(1, np.float32), np.ones((1, 3), np.float32)
    options = Settings(loading=Loading(batching=batching))
    with Server(tmp_path, rest_port=0, grpc_port=0, poll_seconds=0.1, settings=options) as server:
        asked = [
            ("scale", one, "y", lambda y: 1 <= float(y[0]) == int(y[0])),
            ("linear", ones, "total", lambda total: total.tolist() == [3.0]),
        ]
        threads = [
            threading.Thread(target=load, args=(url, *question))
            for url in (server.rest_url, server.grpc_url)
            for question in asked
        ]
        for thread in threads:
            thread.start()
        try:
            versions = add_versions(tmp_path, time.monotonic() + SOAK_SECONDS / 2)
            with Client(server.rest_url) as client:
                wait_for(lambda: max(served(client, "scale")) == versions)
                status = {each.version: each for each in client.status("scale")}
                assert status[2].state == "END"
                assert status[2].error
                wait_for(lambda: max(served(client, "linear")) == versions)
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert not failures
    assert answered[0] > 50


def add_versions(folder: Path, end: float) -> int:
    """Add versions until `end`; the second of the ONNX files is broken. Returns the newest."""
    version = 1
    while time.monotonic() < end or version < 3:
        version += 1
        if version == 2:
            (folder / "scale" / "staged").mkdir()
            (folder / "scale" / "staged" / "model.onnx").write_bytes(b"no model")
            (folder / "scale" / "staged").rename(folder / "scale" / "2")
        else:
            save_scale(folder / "scale" / str(version), version)
        shutil.copytree(folder / "linear" / "1", folder / "linear" / "staged")
        (folder / "linear" / "staged").rename(folder / "linear" / str(version))
        time.sleep(SWAP_SECONDS)
    return version


def served(client: Client, model: str) -> list[int]:
    return [each.version for each in client.status(model) if each.state == "AVAILABLE"]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["linear", "scale"])
def test_memory_does_not_grow_with_reloads(releases: Path, tmp_path: Path, name: str) -> None:
    save_scale(tmp_path / "scale" / "1", 2)
    folder = tmp_path / "scale" / "1" if name == "scale" else releases / "linear" / "3"
    inputs = {"x": np.ones(1 if name == "scale" else (1, 3), np.float32)}
    core = Core(Loading())

    def reload(number: int) -> None:
        core.serve({name: [VersionFolder(number, folder, 1)]})
        with core.use(ModelSpec(name)) as servable:
            assert servable.version == number
            servable.run("serving_default", inputs, ["y"])

    for number in range(1, 16):  # allocators and caches fill up
        reload(number)
    before = resident_megabytes()
    for number in range(16, 66):
        reload(number)
    assert resident_megabytes() <= 1.1 * before
    (state, *older) = core.states(ModelSpec(name))
    assert state.state is State.AVAILABLE
    assert {each.state for each in older} == {State.END}
    core.close()


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_killed_and_started_again_it_serves(tmp_path: Path) -> None:
    save_scale(tmp_path / "m" / "1", 2)
    grpc_port, rest_port = free_port(), free_port()
    flags = [
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        "--model_name=m",
        f"--model_base_path={tmp_path / 'm'}",
        "--model_platform=onnx",
        f"--grpc_socket_path={tmp_path / 'socket'}",
    ]
    url = f"http://localhost:{rest_port}/v1/models/m:predict"
    for life in range(2):
        with running(tmp_path / f"log{life}", *flags) as process:
            assert httpx.post(url, content='{"instances": [1.5]}').json() == {"predictions": [3.0]}
            with grpc.insecure_channel(f"unix:{tmp_path / 'socket'}") as channel:
                assert call(channel, "Predict", predict_request("m", [1.5])) == "OK"
            process.send_signal(signal.SIGKILL)
            process.wait(10)


# ---- requests that make no sense


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
def test_rest_answers_whatever_comes(
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
def test_grpc_answers_whatever_comes(
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


def test_a_message_of_the_runtime_may_quote_what_is_no_text(channel: grpc.Channel) -> None:
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


def test_afterwards_it_answers_as_before(asking: httpx.Client, channel: grpc.Channel) -> None:
    answer = asking.post("/v1/models/half_plus_two:predict", content='{"instances": [1.0]}')
    assert answer.json() == {"predictions": [2.5]}
    assert call(channel, "Predict", predict_request("half_plus_two", [1])) == "OK"
