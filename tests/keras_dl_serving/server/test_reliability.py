"""The reliability of a server: load with version changes, many reloads, and a kill.

The whole length: KERAS_DL_SOAK_SECONDS=600 pytest tests/keras_dl_serving/server/test_reliability.py
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from keras_dl_serving import Client, Server
from keras_dl_serving.server.batching import BatchingOptions
from keras_dl_serving.server.core import Core, ModelSpec, State
from keras_dl_serving.server.loading import Loading
from keras_dl_serving.server.releases import VersionFolder
from keras_dl_serving.server.settings import ServerSettings
from tests._support.model_server import free_port, running
from tests._support.served_models import WEIGHTS, save_linear, save_scale, save_tflite

pytestmark = pytest.mark.slow

SOAK_SECONDS = float(os.environ.get("KERAS_DL_SOAK_SECONDS", "4"))
SWAP_SECONDS = min(5.0, SOAK_SECONDS / 4)
CLIENTS = 2  # of each protocol
FEW = np.float32([[1, 2, 3], [0.5, -1, 4]])
MANY = np.random.default_rng(0).random((50_000, 3), np.float32)  # as large as an image of 224 x 224 pixels


# ---- load and new versions


@pytest.mark.timeout(SOAK_SECONDS + 120)
@pytest.mark.parametrize("batching", [None, BatchingOptions(max_batch_size=50_000)])
def test_no_request_fails_while_versions_change(
    releases: Path, tmp_path: Path, batching: BatchingOptions | None
) -> None:
    """Versions of every format are added and removed, with a broken one among them."""
    shutil.copytree(releases / "examples", tmp_path / "examples")
    add_versions(tmp_path, 1)
    failures: list[BaseException] = []
    counts: list[int] = []
    done = threading.Event()

    def load(url: str) -> None:
        try:
            counts.append(ask_everything(url, done))
        except BaseException as error:
            failures.append(error)

    options = ServerSettings(loading=Loading(batching=batching))
    with Server(tmp_path, rest_port=0, grpc_port=0, poll_seconds=0.1, settings=options) as server:
        urls = [server.rest_url, server.grpc_url] * CLIENTS
        threads = [threading.Thread(target=load, args=(url,)) for url in urls]
        for thread in threads:
            thread.start()
        try:
            newest = swap_until(tmp_path, time.monotonic() + SOAK_SECONDS)
            with Client(server.rest_url) as client:
                for model in ("scale", "linear", "lite"):
                    wait_for(lambda model=model: served(client, model) == [newest])
                broken = {each.version: each for each in client.status("scale")}[2]
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert not failures
    assert (broken.state, bool(broken.error)) == ("END", True)
    assert sum(counts) > 50


def ask_everything(url: str, done: threading.Event) -> int:
    """Call every model repeatedly, check each response, and return the number of calls."""
    asked = 0
    latest = {"scale": 1, "linear": 1}

    def is_current(model: str, version: float) -> None:
        assert version >= latest[model], f"{model} answers with version {version} after {latest[model]}"
        latest[model] = round(version)

    with Client(url, retries=0, timeout=60) as client:
        while not done.is_set():
            # The first two give their version times what is known.
            scaled = client.predict("scale", np.float32([1, 3]))["y"]
            assert scaled[1] == 3 * scaled[0]
            is_current("scale", float(scaled[0]))
            for x in (FEW, MANY):
                y = client.predict("linear", x)["y"]
                version = float(np.rint(y[0, 0] / (x @ WEIGHTS)[0, 0]))
                np.testing.assert_allclose(y, version * (x @ WEIGHTS), rtol=1e-4, atol=1e-3)
                is_current("linear", version)
            lite = client.predict("lite", FEW)
            np.testing.assert_allclose(lite["total"], FEW.sum(axis=1), rtol=1e-6)
            assert client.regress("examples", [{"x": 1.0}]) == [2.5]
            assert client.classify("examples", [{"x": 1.0}], signature_name="classify") == [
                [("a", 1.0), ("b", -1.0)]
            ]
            assert client.metadata("linear").signatures.keys() == {"serving_default", "mean"}
            assert {each.state for each in client.status("linear")} >= {"AVAILABLE"}
            asked += 8
    return asked


def swap_until(folder: Path, end: float) -> int:
    """Add versions until `end`, three at least, the last one sound. Returns its number."""
    version = 1
    while time.monotonic() < end or version < 3:
        version += 1
        add_versions(folder, version)
        time.sleep(SWAP_SECONDS)
    return version


def add_versions(folder: Path, version: int) -> None:
    """A version of each model; the second of the ONNX files is broken."""
    if version == 2:
        (folder / "scale" / "staged").mkdir()
        (folder / "scale" / "staged" / "model.onnx").write_bytes(b"no model")
        (folder / "scale" / "staged").rename(folder / "scale" / "2")
    else:
        save_scale(folder / "scale" / str(version), version)
    save_linear(folder / "linear" / "staged", scale=version)
    save_tflite(folder / "lite" / "staged" / "model.tflite", folder / "linear" / "staged")
    for model in ("linear", "lite"):
        (folder / model / "staged").rename(folder / model / str(version))


def served(client: Client, model: str) -> list[int]:
    return [each.version for each in client.status(model) if each.state == "AVAILABLE"]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


# ---- memory

WIDE = np.ones((3, 500_000), np.float32)  # 6 MB, so that a version that stays in memory is seen


def save_wide_onnx(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", WIDE.shape[1]])
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "wide", [x], [y], [numpy_helper.from_array(WIDE, "w")])
    folder.mkdir()
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9),
        str(folder / "model.onnx"),
    )


def save_wide_saved_model(folder: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable(WIDE)
    spec = tf.TensorSpec((None, 3), tf.float32, name="x")
    module.f = tf.function(lambda x: {"y": x @ module.weights}, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.f})


def save_wide_tflite(folder: Path) -> None:
    save_wide_saved_model(folder.with_name("saved"))
    save_tflite(folder / "model.tflite", folder.with_name("saved"))


@pytest.mark.parametrize("save", [save_wide_onnx, save_wide_saved_model, save_wide_tflite])
def test_memory_does_not_grow_with_reloads(tmp_path: Path, save: Callable[[Path], None]) -> None:
    save(tmp_path / "wide")
    core = Core(Loading())
    x = np.ones((1, 3), np.float32)

    def reload(number: int) -> None:
        core.serve({"wide": [VersionFolder(number, tmp_path / "wide", 1)]})
        with core.use(ModelSpec("wide")) as servable:
            assert servable.version == number
            servable.run("serving_default", {"x": x}, ["y"])

    for number in range(1, 16):  # allocators and caches fill up
        reload(number)
    before = resident_megabytes()
    for number in range(16, 66):
        reload(number)
    assert resident_megabytes() <= 1.1 * before
    (state, *older) = core.states(ModelSpec("wide"))
    assert state.state is State.AVAILABLE
    assert {each.state for each in older} == {State.END}
    core.close()


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# ---- a violent end


def test_a_killed_server_serves_after_a_restart(tmp_path: Path) -> None:
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
            with Client(f"unix://{tmp_path / 'socket'}") as client:
                assert client.predict("m", np.float32([1.5]))["y"].tolist() == [3.0]
            process.send_signal(signal.SIGKILL)
            process.wait(10)
