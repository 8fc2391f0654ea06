"""A model that does not load fails the start, unless the other models are to be served."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_dl_serving import Client, Server, ServerStartError
from keras_dl_serving.errors import InternalError
from keras_dl_serving.model_server import model_server
from keras_dl_serving.server.core import Core, ModelSpec, Retries, State
from keras_dl_serving.server.lifecycle import Lifecycle
from keras_dl_serving.server.model_configs import ModelConfig
from keras_dl_serving.server.releases import VersionFolder
from tests._support.fake_engine import FakeEngine
from tests._support.model_server import COMMAND, ENVIRONMENT, free_port
from tests._support.served_models import save_scale


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """`m` 1 and 2, neither of which loads."""
    for version in "12":
        (tmp_path / "m" / version).mkdir(parents=True)
        (tmp_path / "m" / version / "model.onnx").write_bytes(b"broken")
    return tmp_path


def flags(folder: Path) -> list[str]:
    return [
        f"--port={free_port()}",
        "--model_name=m",
        f"--model_base_path={folder / 'm'}",
        "--model_platform=onnx",
        "--load_retry_interval_micros=100000",
    ]


def test_it_fails_after_its_tries(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert model_server.main([*flags(broken), "--max_num_load_retries=3"]) == 1
    assert time.monotonic() - began >= 0.3
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("Failed to start")]
    assert line.startswith(
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: "
        "{{{name: m version: 2} due to error: "
    )
    assert line.endswith("}, }")


def test_named_in_a_program(broken: Path) -> None:
    models = [ModelConfig(name, broken / name, "onnx") for name in ("m", "n")]
    save_scale(broken / "n" / "1", 2)
    message = r"^UNKNOWN: 1 servable\(s\) did not become available: \{\{\{name: m version: 2\} due to error"
    with pytest.raises(ServerStartError, match=message):
        Server(models=models, rest_port=0, grpc_port=None).start()


@pytest.mark.parametrize("tries", [3, 4])
def test_a_version_that_loads_at_the_last_try_is_served(tmp_path: Path, tries: int) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    count = 0

    def load(_: VersionFolder) -> FakeEngine:
        nonlocal count
        count += 1
        if count < tries:
            raise InternalError("not yet")
        return FakeEngine()

    retries = Retries(2, seconds=0.01)
    core = Core(load, retries)
    lifecycle = Lifecycle(core, models=[ModelConfig("m", tmp_path / "m")])
    if tries > 1 + retries.count:
        with pytest.raises(Exception, match="due to error: INTERNAL: not yet"):
            lifecycle.start(retries)
    else:
        lifecycle.start(retries)
        assert core.states(ModelSpec("m"))[0].state is State.AVAILABLE
    assert count == 3


def test_an_older_version_or_no_version_is_accepted(broken: Path) -> None:
    save_scale(broken / "old" / "1", 2)
    (broken / "old" / "2").mkdir()
    (broken / "empty").mkdir()
    models = [ModelConfig(name, broken / name, "onnx") for name in ("old", "empty", "nowhere")]
    with Server(models=models, rest_port=0, grpc_port=None):
        pass


def test_a_folder_of_releases_is_served_as_far_as_it_loads_if_asked(broken: Path) -> None:
    save_scale(broken / "good" / "1", 2)
    with (
        Server(broken, rest_port=0, grpc_port=None, require_models=False) as server,
        Client(server.rest_url) as client,
    ):
        assert client.predict("good", [2.0])["y"].tolist() == [4.0]
        assert [each.state for each in client.status("m")] == ["END", "END"]


def test_the_command_line_serves_a_folder_as_far_as_it_loads(broken: Path) -> None:
    """And prints what failed."""
    save_scale(broken / "good" / "1", 2)
    command = [sys.executable, "-c", "from keras_dl.cli import main; main()", "serve", str(broken)]
    command += ["--rest-port=0", "--grpc-port=-1"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            printed = ""
            while "Exporting HTTP/REST API at:" not in (line := process.stderr.readline()):
                assert process.poll() is None, printed + line
                printed += line
            for version in "12":
                assert f"Loading servable {{name: m version: {version}}} failed" in printed
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_it_can_be_stopped_between_its_tries(broken: Path) -> None:
    command = [*COMMAND, *flags(broken), "--load_retry_interval_micros=600000000"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            while "version: 1} failed" not in process.stderr.readline():
                assert process.poll() is None
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
