"""Loading files, without TensorFlow if the format does not need it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_dl_export import ExportError, Release, load_artifact, measure_latency, verify

WITHOUT_TENSORFLOW = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras"):
            raise AssertionError(name)
sys.meta_path.insert(0, Refuse())
import numpy as np
from keras_dl_export import list_versions, load_artifact, open_release
release = open_release(sys.argv[1])
for format in ("onnx", "tflite"):
    image = load_artifact(release, "decode", format=format)({"z": np.ones((2, 2), np.float32)})["image"]
    print(image.shape, image.dtype)
"""


def test_onnx_and_tflite_need_no_tensorflow_and_are_quiet(vae_release: Release) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, str(vae_release.path)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["(2, 8, 8, 1) float32"] * 2


READER = """
import sys
import numpy as np
from keras_dl_export import load_artifact
load_artifact(sys.argv[1], "decode")({"z": np.ones((2, 2), np.float32)})
print(*sys.modules)
"""
FLOOR = """
import sys
from keras_dl_export import arguments, dtypes, errors, files, names, results, runner, specs
print(*sys.modules)
"""
HEAVY = {
    "ai_edge_litert",
    "keras",
    "onnx",
    "onnxruntime",
    "tensorflow",
    "tf2onnx",
    "keras_dl",
    "keras_dl_serving",
}
WRITERS = {"api", "lowering", "model_endpoints", "tracing", "writing"}


def modules_after(program: str, *arguments: str) -> set[str]:
    """Return the modules that a program has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("file", "runtime"), [("onnx/decode.onnx", "onnxruntime"), ("model.tflite", "ai_edge_litert")]
)
def test_a_reader_imports_its_runtime_and_no_writer(vae_release: Release, file: str, runtime: str) -> None:
    modules = modules_after(READER, str(vae_release.path / file))
    assert modules & HEAVY == {runtime}
    own = {name.removeprefix("keras_dl_export.") for name in modules if name.startswith("keras_dl_export.")}
    assert not {name for name in own if name in WRITERS or name.endswith("_writer")}


def test_the_floor_imports_numpy_alone() -> None:
    assert not modules_after(FLOOR) & (HEAVY | {"ml_dtypes", "google"})


@pytest.mark.parametrize("format", ["saved_model", "tflite", "onnx"])
@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({}, ValueError, "inputs: 'serving_default' expects arrays for image, got"),
        ({"picture": 1}, ValueError, "inputs: 'serving_default' expects arrays for image, got picture"),
        (
            np.zeros((1, 8, 8, 1)),
            ValueError,
            "inputs: 'serving_default' expects arrays for image, got ndarray",
        ),
        (
            {"image": np.zeros((1, 9, 8, 1))},
            ValueError,
            r"\['image'\]: expected shape \(batch, 8, 8, 1\), got \(1, 9",
        ),
        (
            {"image": np.zeros((1, 8, 8, 1), str)},
            TypeError,
            r"inputs\['image'\]: expected dtype float32, got <U1",
        ),
    ],
)
def test_wrong_inputs_are_refused_before_the_runtime_receives_them(
    vae_release: Release, format: str, inputs: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_artifact(vae_release, format=format)(inputs)


def test_unknown_endpoints_formats_and_paths_are_refused(vae_release: Release, tmp_path: Path) -> None:
    for path in (vae_release.path, vae_release.path / "model.tflite"):
        with pytest.raises(ValueError, match="endpoint: expected one of .*, got 'dream'"):
            load_artifact(path, "dream")
    with pytest.raises(ValueError, match="endpoint: expected one of encode, got 'decode'"):
        load_artifact(vae_release.path / "onnx" / "encode.onnx", "decode")
    with pytest.raises(ValueError, match="expected one of saved_model, tflite, onnx .*, got 'pickle'"):
        load_artifact(vae_release, format="pickle")
    with pytest.raises(ValueError, match="format: .*model.tflite is tflite, got 'onnx'"):
        load_artifact(vae_release.path / "model.tflite", format="onnx")
    with pytest.raises(FileNotFoundError, match="path: expected a model file, a SavedModel or a release"):
        load_artifact(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="artifact: expected a model file or a release"):
        verify(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="model: expected the Keras model of .*encode.onnx, got None"):
        verify(vae_release.path / "onnx" / "encode.onnx")


@pytest.mark.parametrize("content", [b"", b"\x1c\x00\x00\x00TFL3garbage", b"\x08\x08garbage"])
def test_a_broken_file_is_reported_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=r"model.bin: the (tflite|onnx) runtime cannot load it: "):
        load_artifact(path)


@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="the threads are counted as Linux lists them"
)
@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_a_file_runs_on_the_requested_number_of_threads(
    vae_release: Release, images: np.ndarray, format: str
) -> None:
    def count_threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    started, answers = [], []
    for threads in (1, 4):
        before = count_threads()
        runner = load_artifact(vae_release, "encode", format=format, threads=threads)
        answers.append(runner({"image": images})["mean"])
        started.append(count_threads() - before)
    assert started == [0, 3]  # the caller's own is one of them
    np.testing.assert_allclose(*answers, atol=1e-6)


@pytest.mark.parametrize(("format", "threads"), [("onnx", 0), ("tflite", -1), ("saved_model", 1)])
def test_invalid_numbers_of_threads_are_refused(vae_release: Release, format: str, threads: int) -> None:
    with pytest.raises(ValueError, match=f"threads: expected .*, got {threads} for {format}"):
        load_artifact(vae_release, "encode", format=format, threads=threads)


def test_latency_is_measured_in_milliseconds(vae_release: Release, images: np.ndarray) -> None:
    runner = load_artifact(vae_release, "encode", format="onnx")
    calls = []

    def counted(inputs: Any) -> Any:
        calls.append(inputs)
        return runner(inputs)

    latency = measure_latency(counted, {"image": images}, calls=20, warmup=3)  # type: ignore[arg-type]
    assert len(calls) == 23
    assert 0.0 < latency.p50_ms <= latency.p95_ms
    with pytest.raises(ValueError, match="calls: expected at least 1, got 0"):
        measure_latency(runner, {"image": images}, calls=0)
