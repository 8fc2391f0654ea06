"""Several models, version policies, labels, reloads; over gRPC with the official stubs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from keras_dl_serving import Client, InvalidArgumentError, NotFoundError, Server, ServerStartError
from keras_dl_serving.errors import FailedPreconditionError, InternalError
from keras_dl_serving.server.core import Core, ModelSpec, Retries, State
from keras_dl_serving.server.model_configs import ModelConfig, VersionPolicy
from keras_dl_serving.server.releases import VersionFolder
from keras_dl_serving.server.settings import ServerSettings
from tests._support.fake_engine import FakeEngine, folder
from tests._support.served_models import save_scale
from tests._support.waiting import eventually

# ---- policies, retries and labels, on fake engines


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        (VersionPolicy(), {9}),
        (VersionPolicy(newest=2), {9, 5}),
        (VersionPolicy(newest=None), {9, 5, 2}),
        (VersionPolicy(specific=(2, 5)), {2, 5}),
        (VersionPolicy(specific=(7,)), set()),
    ],
)
def test_policies(policy: VersionPolicy, served: set[int]) -> None:
    core = Core(lambda _: FakeEngine())
    folders = [folder(9), folder(5), folder(2)]
    core.serve({"m": folders}, {"m": policy})
    assert {version.version for version in states(core) if version.state is State.AVAILABLE} == served
    assert len(states(core)) == len(served)  # and nothing else was tried


def states(core: Core) -> Any:
    try:
        return core.states(ModelSpec("m"))
    except NotFoundError:
        return []


def test_served_versions_stay_if_no_requested_version_loads() -> None:
    core = Core(lambda _: FakeEngine())
    core.serve({"m": [folder(1)]})
    core.serve({"m": [folder(1)]}, {"m": VersionPolicy(specific=(7,))})
    assert [version.state for version in states(core)] == [State.AVAILABLE]


def test_a_version_is_retried_a_number_of_times_after_an_interval() -> None:
    tries = []

    def fail(version: VersionFolder) -> FakeEngine:
        tries.append(version.number)
        raise InternalError("not yet")

    core = Core(fail, Retries(2, seconds=0))
    for _ in range(5):
        core.serve({"m": [folder(1)]})
    assert len(tries) == 3
    (version,) = states(core)
    assert (version.state, version.failures) == (State.END, 3)
    core.serve({"m": [folder(1, stamp=2)]})  # new files, new tries
    assert states(core)[0].failures == 1

    tries.clear()
    patient = Core(fail, Retries(2, seconds=3600))
    for _ in range(3):
        patient.serve({"m": [folder(1)]})
    assert len(tries) == 1


def test_labels() -> None:
    core = Core(lambda _: FakeEngine())
    core.serve({"m": [folder(2), folder(1)]}, {"m": VersionPolicy(newest=None)})
    core.set_labels({"m": {"stable": 1, "canary": 2}})
    with core.use(ModelSpec("m", label="stable")) as servable:
        assert servable.version == 1
    complaint = "^Request to assign label to version 7 of model m, which is not currently available"
    with pytest.raises(FailedPreconditionError, match=complaint):
        core.set_labels({"m": {"stable": 2, "new": 7}})
    assert core.labels("m") == {"stable": 1, "canary": 2}
    core.set_labels({"m": {"stable": 2, "new": 7}}, allow_unavailable=True)
    assert core.labels("m") == {"stable": 2, "new": 7}
    with (
        pytest.raises(NotFoundError, match=r"^Servable not found for request: Specific\(m, 7\)$"),
        core.use(ModelSpec("m", label="new")),
    ):
        pass
    with pytest.raises(FailedPreconditionError):  # one in use does not move to where nothing is
        core.set_labels({"m": {"stable": 9}}, allow_unavailable=True)
    with (
        pytest.raises(InvalidArgumentError, match="^Unrecognized servable version label: canary$"),
        core.use(ModelSpec("m", label="canary")),
    ):
        pass


# ---- a server with a list of models


@pytest.fixture
def scales(tmp_path: Path) -> Path:
    """`double` 1 and 2 (twice as much), `triple` 1."""
    save_scale(tmp_path / "double" / "1", 2)
    save_scale(tmp_path / "double" / "2", 4)
    save_scale(tmp_path / "triple" / "1", 3)
    return tmp_path


def listed(folder: Path, name: str, **options: Any) -> ModelConfig:
    return ModelConfig(name, folder / name, "onnx", **options)


@pytest.fixture
def server(scales: Path) -> Iterator[Server]:
    models = [
        listed(scales, "double", policy=VersionPolicy(newest=None), labels={"stable": 1, "canary": 2}),
        listed(scales, "triple"),
    ]
    with Server(models=models, rest_port=0, grpc_port=0, poll_seconds=0.05) as running:
        yield running


@pytest.mark.parametrize("models", [{"digits": len}, ["digits"]])
def test_models_of_another_type_are_refused(models: Any) -> None:
    with pytest.raises(TypeError, match=r"models.*ModelConfig"):
        Server(models=models)


def ask(server: Server, path: str) -> Any:
    response = httpx.post(f"{server.rest_url}/v1/models/{path}:predict", content='{"instances": [1.0]}')
    return response.json().get("predictions", response.json().get("error"))


def reload(server: Server, *models: ModelConfig, platform: str = "onnx") -> Any:
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

    request = model_management_pb2.ReloadConfigRequest()
    request.metric_names.append("/tensorflow/serving/request_count")
    request.config.model_config_list.SetInParent()
    for model in models:
        config = request.config.model_config_list.config.add(
            name=model.name, base_path=str(model.base_path), model_platform=platform
        )
        if model.policy.newest is None:
            config.model_version_policy.all.SetInParent()
        config.version_labels.update(model.labels)
    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        return model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=20)


def test_versions_and_labels(server: Server) -> None:
    assert ask(server, "double") == [4]
    assert ask(server, "double/versions/1") == [2]
    assert ask(server, "double/labels/stable") == [2]
    assert ask(server, "double/labels/canary") == [4]
    assert ask(server, "double/labels/c%61nary") == [4]
    assert ask(server, "double/labels/old") == "Unrecognized servable version label: old"
    assert ask(server, "triple") == [3]
    status = httpx.get(f"{server.rest_url}/v1/models/double/labels/stable").json()
    assert [each["version"] for each in status["model_version_status"]] == ["2", "1"]  # the label is ignored


def test_a_reload_serves_only_the_new_config(server: Server, scales: Path) -> None:
    save_scale(scales / "five" / "1", 5)
    response = reload(server, listed(scales, "five"), listed(scales, "double", labels={"stable": 2}))
    assert response.status.error_code == 0
    assert [(each.name, each.int64_value_increase) for each in response.metric] == [
        ("/tensorflow/serving/request_count", 0)
    ]
    assert ask(server, "five") == [5]
    assert ask(server, "double/labels/stable") == [4]
    assert ask(server, "triple") == "Servable not found for request: Latest(triple)"
    assert ask(server, "double/versions/1") == "Servable not found for request: Specific(double, 1)"


def test_reloads_that_are_refused(server: Server, scales: Path) -> None:
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

    def refused(*models: ModelConfig, **options: Any) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as caught:
            reload(server, *models, **options)
        return caught.value.code().name, caught.value.details()

    triple = listed(scales, "triple")
    code, message = refused(triple, triple)
    assert (code, message) == (
        "INVALID_ARGUMENT",
        "Illegal to list model triple multiple times in config list",
    )
    code, message = refused(triple, platform="tflite")
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("Illegal to change a model's platform.")
    code, message = refused(listed(scales, "nothing"))
    assert (code, message) == (
        "NOT_FOUND",
        f"Could not find base path {scales / 'nothing'} for servable nothing",
    )
    assert ask(server, "double/labels/canary") == [4]  # all as before
    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(), timeout=20)
    assert "Only ModelConfigList is currently supported" in caught.value.details()

    (scales / "broken" / "1").mkdir(parents=True)
    (scales / "broken" / "1" / "model.onnx").write_bytes(b"broken")
    code, message = refused(triple, listed(scales, "broken"))
    assert code == "UNKNOWN"
    assert message.startswith(
        "1 model(s) did not become available: {{{name: broken version: 1} due to error: "
    )
    assert message.endswith("}, }")


def test_a_new_version_takes_over_without_a_failure(server: Server, scales: Path) -> None:
    with Client(server.rest_url) as client:
        save_scale(scales / "triple" / "2", 30)
        answers = set()
        while 30.0 not in answers:
            answers.add(float(client.predict("triple", np.ones(1, np.float32))["y"][0]))
    assert answers <= {3.0, 30.0}
    eventually(lambda: ask(server, "triple/versions/1").startswith("Servable not found"))


def test_readiness(server: Server, scales: Path) -> None:
    assert httpx.get(f"{server.rest_url}/keras_dl/live").status_code == 200
    ready = httpx.get(f"{server.rest_url}/keras_dl/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "missing": []})
    (scales / "triple" / "1").rename(scales / "triple" / "gone")
    eventually(lambda: httpx.get(f"{server.rest_url}/keras_dl/ready").status_code == 503)
    assert httpx.get(f"{server.rest_url}/keras_dl/ready").json() == {"ready": False, "missing": ["triple"]}
    assert httpx.get(f"{server.rest_url}/keras_dl/live").status_code == 200


def test_a_config_file_is_polled(scales: Path) -> None:
    file = scales / "models.config"

    def write(name: str) -> None:
        config = f"config {{ name: '{name}' base_path: '{scales / name}' model_platform: 'onnx' }}"
        file.write_text(f"model_config_list {{ {config} }}")

    write("double")
    with Server(
        config_file=file, config_poll_seconds=0.05, rest_port=0, grpc_port=None, poll_seconds=None
    ) as server:
        assert ask(server, "double") == [4]
        for wrong in ("nonsense", ""):  # is logged, and changes nothing
            file.write_text(wrong)
            time.sleep(0.2)
            assert ask(server, "double") == [4]
        write("triple")
        eventually(lambda: ask(server, "triple") == [3])
        assert ask(server, "double").startswith("Servable not found")


def test_a_label_without_its_version_is_an_error_at_the_start_unless_allowed(scales: Path) -> None:
    models = [listed(scales, "triple", labels={"canary": 2})]
    options: dict[str, Any] = {"models": models, "rest_port": 0, "grpc_port": None}
    with pytest.raises(ServerStartError, match="Request to assign label to version 2 of model triple"):
        Server(**options).start()
    with Server(**options, settings=ServerSettings(allow_unavailable_labels=True)) as server:
        assert ask(server, "triple/labels/canary").startswith("Servable not found")


def test_models_are_configured_once(scales: Path) -> None:
    for arguments in ({}, {"releases": scales, "config_file": scales / "models.config"}):
        with pytest.raises(ValueError, match="releases, models, config_file: expected one of them"):
            Server(**arguments)
