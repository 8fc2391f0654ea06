"""ONNX and TFLite versions, served like SavedModels and without TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_dl_serving import Client, InvalidArgumentError, Server
from keras_dl_serving.errors import NotFoundError
from keras_dl_serving.server.engines.open_engine import open_engine
from tests._support.served_models import WEIGHTS, save_linear, save_tflite

X = np.float32([[1, 2, 3], [0.5, -1, 4]])


def save_onnx(file: Path) -> None:
    """`x (batch, 3) -> y = x @ WEIGHTS, name = an input of strings`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["y"]),
            helper.make_node("Identity", ["name"], ["same"]),
        ],
        "linear",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("name", TensorProto.STRING, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("same", TensorProto.STRING, ["batch"]),
        ],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    file.parent.mkdir(parents=True)
    onnx.save(model, str(file))


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`linear` of each format, and `both` with a SavedModel that gives ten times as much."""
    folder = tmp_path_factory.mktemp("formats")
    save_linear(folder / "saved" / "1")
    save_onnx(folder / "onnx_linear" / "1" / "model.onnx")
    save_tflite(folder / "tflite_linear" / "1" / "model.tflite", folder / "saved" / "1")
    save_linear(folder / "both" / "1", scale=10.0)
    save_tflite(folder / "both" / "1" / "model.tflite", folder / "saved" / "1")
    return folder


def test_onnx(formats: Path) -> None:
    engine = open_engine(formats / "onnx_linear" / "1")
    names = np.array([b"a", b"\xc3\xa4"], object)
    y, same = engine.run("serving_default", {"x": X, "name": names}, ["y", "same"])
    np.testing.assert_allclose(y, X @ WEIGHTS, rtol=1e-6)
    assert same.tolist() == names.tolist()
    with pytest.raises(InvalidArgumentError, match="Got: 2 Expected: 3"):
        engine.run("serving_default", {"x": X[:, :2], "name": names}, ["y"])
    engine.close()


def test_onnx_input_and_output_of_one_name(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    from keras_dl_export.formats.onnx.onnx_runner import INPUTS_KEY

    shape = ["batch", 3]
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x_input"], ["x"])],
        "negative",
        [helper.make_tensor_value_info("x_input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {INPUTS_KEY: '{"x_input": "x"}'})
    onnx.save(model, str(tmp_path / "model.onnx"))
    engine = open_engine(tmp_path)
    signature = engine.signatures["serving_default"]
    assert (list(signature.inputs), list(signature.outputs)) == (["x"], ["x"])
    (answer,) = engine.run("serving_default", {"x": X}, ["x"])
    np.testing.assert_array_equal(answer, -X)
    engine.close()


def test_tflite_inputs_of_any_name(formats: Path, tmp_path: Path) -> None:
    """LiteRT takes inputs as keyword arguments, of which `self` is its own."""
    import flatbuffers
    from ai_edge_litert.schema_py_generated import Model, ModelT

    file = (formats / "tflite_linear" / "1" / "model.tflite").read_bytes()
    for name in ("self", "class", "\u00e4 x", "input_0"):
        model = ModelT.InitFromObj(Model.GetRootAs(file))
        for signature in model.signatureDefs:
            signature.inputs[0].name = name.encode()
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        (tmp_path / "model.tflite").write_bytes(builder.Output())
        engine = open_engine(tmp_path)
        assert list(engine.signatures["serving_default"].inputs) == [name]
        for rows in (2, 1):
            (y,) = engine.run("serving_default", {name: X[:rows]}, ["y"])
            np.testing.assert_allclose(y, X[:rows] @ WEIGHTS, rtol=1e-6)
        engine.close()


def test_tflite(formats: Path) -> None:
    engine = open_engine(formats / "tflite_linear" / "1")
    assert [str(spec) for spec in engine.signatures["serving_default"].inputs.values()] == [
        "float32 (batch, 3)"
    ]
    for rows in (2, 1, 2):
        y, total = engine.run("serving_default", {"x": X[:rows]}, ["y", "total"])
        np.testing.assert_allclose(y, X[:rows] @ WEIGHTS, rtol=1e-6)
        np.testing.assert_allclose(total, X[:rows].sum(axis=1), rtol=1e-6)
    for wrong, message in (
        (X[:, :2], r"^input x: expected shape \[-1, 3\], got \[2, 2\]$"),
        (X[0], r"^input x: expected shape \[-1, 3\], got \[3\]$"),
        (X.astype(np.float64), r"^input x: expected float32, got float64$"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            engine.run("serving_default", {"x": wrong}, ["y"])
    engine.close()


COUNT_THREADS = """
import os, sys
from pathlib import Path
import numpy as np
from keras_dl_serving.server.engines.engine import Threads
from keras_dl_serving.server.engines.open_engine import open_engine

def count():
    return len(os.listdir("/proc/self/task"))

x = np.ones((2, 3), np.float32)
before = count()
engine = open_engine(Path(sys.argv[1]), threads=Threads(int(sys.argv[2]), int(sys.argv[2])))
inputs = {"x": x, "name": np.array([b"a", b"b"], object)}
signature = engine.signatures["serving_default"]
engine.run("serving_default", {name: inputs[name] for name in signature.inputs}, ["y"])
print(count() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads as Linux lists them")
@pytest.mark.parametrize(("folder", "pools"), [("saved", 2), ("onnx_linear", 2), ("tflite_linear", 1)])
def test_a_run_uses_the_configured_threads(formats: Path, folder: str, pools: int) -> None:
    def started(
        threads: int,
    ) -> int:  # in a process of its own, as TensorFlow keeps those of its first session
        command = [sys.executable, "-c", COUNT_THREADS, str(formats / folder / "1"), str(threads)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return int(
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        )

    assert started(7) - started(1) == 6 * pools


def test_a_saved_model_runs_in_the_calling_thread(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec((None,), tf.float32, name="x")
    # An operation that TensorFlow does not share out among threads.
    module.f = tf.function(lambda x: {"y": tf.unique(x).y}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.f})
    engine = open_engine(tmp_path)
    x = np.arange(1_000_000, dtype=np.float32)
    engine.run("serving_default", {"x": x}, ["y"])
    everywhere, here = time.process_time(), time.thread_time()
    engine.run("serving_default", {"x": x}, ["y"])
    assert time.thread_time() - here > 0.5 * (time.process_time() - everywhere)
    engine.close()


def total_weight(folder: Path, **options: Any) -> float:
    engine = open_engine(folder, **options)
    try:
        return float(engine.run("serving_default", {"x": X}, ["y"])[0].sum() / (X @ WEIGHTS).sum())
    finally:
        engine.close()


def test_the_platform_chooses_the_format(formats: Path) -> None:
    assert total_weight(formats / "both" / "1") == pytest.approx(10)
    assert total_weight(formats / "both" / "1", platform="tflite") == pytest.approx(1)
    assert total_weight(formats / "both" / "1", prefer_tflite=True) == pytest.approx(1)
    with pytest.raises(NotFoundError, match="Could not find ONNX files"):
        open_engine(formats / "both" / "1", "onnx")
    with pytest.raises(NotFoundError, match=r"Could not find .*model\.tflite"):
        open_engine(formats / "onnx_linear" / "1", "tflite")


def test_invalid_model_files_are_refused(tmp_path: Path) -> None:
    for name in ("model.onnx", "model.tflite"):
        (tmp_path / name).mkdir(parents=True)
        file = tmp_path / name / name
        file.write_bytes(b"no model")
        with pytest.raises(InvalidArgumentError, match=f"cannot load {name}"):
            open_engine(file.parent)


_WITHOUT_TENSORFLOW = """
import sys, numpy as np
from keras_dl_serving import Client, Server
with Server({releases!r}, rest_port=0, grpc_port=0) as server:
    for url in (server.rest_url, server.grpc_url):
        with Client(url) as client:
            print(client.predict("tflite_linear", np.ones((1, 3), np.float32))["total"].tolist())
            inputs = {{"x": np.ones((1, 3), np.float32), "name": np.array([b"n"], object)}}
            print(client.predict("onnx_linear", inputs)["y"].tolist())
            print(sorted(client.metadata("onnx_linear").signatures["serving_default"].inputs))
print("tensorflow" in sys.modules)
"""


def test_they_are_served_without_tensorflow(formats: Path, tmp_path: Path) -> None:
    for name in ("onnx_linear", "tflite_linear"):
        (tmp_path / name).symlink_to(formats / name)
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TENSORFLOW.format(releases=str(tmp_path))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = ["[3.0]", "[[0.5, 2.25]]", "['name', 'x']"]
    assert done.stdout.splitlines() == [*answers, *answers, "False"]


def test_all_formats_side_by_side(formats: Path) -> None:
    with Server(formats, rest_port=0, grpc_port=None) as server, Client(server.rest_url) as client:
        for name in ("saved", "tflite_linear"):
            np.testing.assert_allclose(client.predict(name, X)["y"], X @ WEIGHTS, rtol=1e-6)
