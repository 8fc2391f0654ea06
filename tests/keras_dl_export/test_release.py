"""Releases: complete or absent."""

import errno
import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from keras_dl_export import (
    ConversionError,
    ParityError,
    Release,
    ReleaseError,
    export,
    list_versions,
    load_artifact,
    open_release,
    verify,
)
from keras_dl_export.files import staging_folder
from keras_dl_export.formats.onnx.onnx_runner import OnnxRunner
from keras_dl_export.measure.timing import count_cores
from keras_dl_export.release import publish, write_manifest

FORMATS = ("saved_model", "tflite", "onnx")


def test_a_release_holds_the_files_of_its_manifest(vae_release: Release, vae: keras.Model) -> None:
    folder, manifest = vae_release.path, json.loads((vae_release.path / "release.json").read_text())
    assert (vae_release.name, vae_release.version) == ("vae", 1)
    assert manifest["format_version"] == 1
    assert manifest["model"]["class"].endswith("TinyVAE")
    assert manifest["model"]["parameters"] == vae.count_params()
    assert {"keras", "tensorflow", "onnx", "onnxruntime", "tf2onnx", "ai-edge-litert", "python"} <= set(
        manifest["tools"]
    )
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        "saved_model.pb",
        "model.tflite",
        "onnx/serving_default.onnx",
        "onnx/encode.onnx",
        "onnx/decode.onnx",
        "assets.extra/tf_serving_warmup_requests",
    } <= files
    assert files == {*manifest["files"], "release.json"}
    for path, entry in manifest["files"].items():
        content = (folder / path).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def test_the_manifest_contains_specs_and_parity(vae_release: Release, vae: keras.Model) -> None:
    declared = vae.endpoints()
    assert vae_release.inputs == {name: dict(endpoint.inputs) for name, endpoint in declared.items()}
    assert set(vae_release.outputs["encode"]) == {"mean", "log_variance"}
    assert [artifact.format for artifact in vae_release.artifacts] == ["saved_model", "tflite", *["onnx"] * 3]
    for artifact in vae_release.artifacts:
        assert artifact.path.exists()
        assert artifact.bytes > 0
        assert artifact.operators
        seen = {(comparison.endpoint, comparison.batch_size) for comparison in artifact.parity.comparisons}
        assert seen == {(endpoint, batch) for endpoint in artifact.endpoints for batch in (1, 3)}
        assert all(each.max_abs_error <= each.tolerance for each in artifact.parity.comparisons)


def test_the_manifest_contains_flops_versions_and_latency(vae_release: Release) -> None:
    # The decoder: 2 -> 64, and 4 x 4 x 4 numbers spread over 3 x 3 taps of one channel.
    dense, convolution = 64 * (2 * 2 + 1 + 1), 4 * 4 * 4 * 2 * 3 * 3 + 8 * 8 + 8 * 8
    assert vae_release.flops["decode"].total == dense + convolution
    assert vae_release.flops["decode"].sizes == {"batch": 1}
    onnx_file = onnx.load(vae_release.path / "onnx" / "decode.onnx")
    versions = {entry["path"]: entry["versions"] for entry in vae_release.manifest["artifacts"]}
    assert versions["onnx/decode.onnx"] == {
        "opset": next(each.version for each in onnx_file.opset_import if not each.domain),
        "IR": onnx_file.ir_version,
    }
    assert versions["."] == {"schema": 1, "TensorFlow": tf.__version__}
    assert versions["model.tflite"]["schema"] == 3
    assert re.fullmatch(r"\d+\.\d+\.\d+", versions["model.tflite"]["runtime from"])
    cores = count_cores()
    assert f"{cores} core" in vae_release.machine
    timed = [(timing.format, timing.endpoint, timing.threads) for timing in vae_release.timings]
    for endpoint in vae_release.inputs:
        for format in ("tflite", "onnx"):
            for threads in {1, cores}:
                assert timed.count((format, endpoint, threads)) == 1
        assert timed.count(("saved_model", endpoint, cores)) == 1
    assert all(0 < timing.p50_ms <= timing.p95_ms for timing in vae_release.timings)


def test_plain_tensorflow_loads_every_endpoint(
    vae_release: Release, vae: keras.Model, images: np.ndarray
) -> None:
    signatures = tf.saved_model.load(str(vae_release.path)).signatures
    assert set(signatures) == {"serving_default", "encode", "decode"}
    answer = signatures["encode"](image=tf.constant(images))
    for name, tensor in vae.encode(tf.constant(images)).items():
        np.testing.assert_allclose(answer[name], tensor, atol=1e-6)
    z = tf.constant([[0.5, -1.0]])
    np.testing.assert_allclose(signatures["decode"](z=z)["image"], vae.decode(z)["image"], atol=1e-6)


def test_warm_up_requests_are_predict_requests(vae_release: Release) -> None:
    path = vae_release.path / "assets.extra" / "tf_serving_warmup_requests"
    signatures = tf.saved_model.load(str(vae_release.path)).signatures
    seen = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        seen.append(request.model_spec.signature_name)
        signatures[seen[-1]](
            **{name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        )
    assert seen == ["serving_default", "encode", "decode"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("endpoint", ["encode", "decode"])
def test_any_format_and_endpoint_can_be_loaded(
    vae_release: Release, vae: keras.Model, images: np.ndarray, format: str, endpoint: str, answer: Any
) -> None:
    inputs = {"image": images} if endpoint == "encode" else {"z": np.ones((4, 2), np.float32)}
    runner = load_artifact(vae_release.path.parent, endpoint, format=format, version=1)
    assert runner.inputs == vae.endpoints()[endpoint].inputs
    answers = runner(inputs)
    for name, expected in answer(getattr(vae, endpoint), **inputs).items():
        np.testing.assert_allclose(answers[name], expected, atol=1e-5)


def test_verify_compares_with_the_model_or_with_the_saved_model(
    vae_release: Release, vae: keras.Model
) -> None:
    for parity in (verify(vae_release, vae), verify(vae_release), verify(vae_release.path.parent)):
        plain = [each for each in parity.comparisons if each.inputs == "uniform"]
        assert len(plain) == 3 * 2 * 4  # formats x batch sizes x outputs of all endpoints
        assert parity.kinds == ("uniform", "large", "zeros")
        assert parity.max_abs_error < 1e-5
    with pytest.raises(
        ParityError, match=r"endpoint 'serving_default', output 'image', batch 1, index \(0, "
    ):
        verify(vae_release, type(vae)())


def test_every_release_has_a_saved_model_and_the_next_version(
    perceptron: keras.Model, tmp_path: Path
) -> None:
    steps: list[str] = []
    first = export(perceptron, tmp_path / "iris", formats=["onnx"], progress=steps.append)
    second = export(perceptron, tmp_path / "iris", formats=["saved_model"])
    assert [artifact.format for artifact in first.artifacts] == ["saved_model", "onnx"]
    assert [artifact.format for artifact in second.artifacts] == ["saved_model"]
    assert second.path == tmp_path / "iris" / "2"
    assert list_versions(tmp_path / "iris") == [1, 2]
    assert open_release(tmp_path / "iris").version == 2
    assert open_release(tmp_path / "iris", version=1).version == 1
    assert steps[0] == "Tracing the endpoints"
    assert "Checking ONNX: serving_default" in steps
    with pytest.raises(ValueError, match=r"format: expected one of saved_model for .*iris/2, got 'onnx'"):
        load_artifact(tmp_path / "iris", format="onnx")
    with pytest.raises(ReleaseError, match="expected one of the versions 1, 2, got 3"):
        open_release(tmp_path / "iris", version=3)
    # Readable by a server that runs as somebody else, as far as the umask says.
    assert stat.S_IMODE(second.path.stat().st_mode) == stat.S_IMODE(tmp_path.joinpath("iris").stat().st_mode)


@pytest.mark.parametrize("formats", ["tflight", ["onnx", "tflight"]])
def test_an_unknown_format_is_refused(perceptron: keras.Model, tmp_path: Path, formats: Any) -> None:
    with pytest.raises(ValueError, match="formats: expected any of saved_model, tflite, onnx, got 'tflight'"):
        export(perceptron, tmp_path / "iris", formats=formats)
    assert not any(tmp_path.iterdir())


def test_a_numbered_folder_is_refused_as_a_folder_of_versions(
    perceptron: keras.Model, tmp_path: Path
) -> None:
    with pytest.raises(
        ValueError, match="folder: expected the folder of a release, such as releases/digits, got"
    ):
        export(perceptron, tmp_path / "7")


def test_a_failed_parity_check_leaves_no_release(
    perceptron: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = OnnxRunner.run

    def off_by_a_little(self: Any, inputs: Any) -> Any:
        return {name: array + np.float32(1e-3) for name, array in honest(self, inputs).items()}

    monkeypatch.setattr(OnnxRunner, "run", off_by_a_little)
    with pytest.raises(
        ParityError, match="onnx/serving_default.onnx: endpoint 'serving_default', output 'output'"
    ):
        export(perceptron, tmp_path / "releases" / "iris")
    assert not any(tmp_path.iterdir())


def test_a_failed_format_leaves_no_release(tmp_path: Path) -> None:
    word = keras.Input((), dtype="string", name="word")
    table = keras.layers.StringLookup(vocabulary=["a"])
    model = keras.Model(word, keras.layers.Embedding(3, 2)(table(word)))
    (tmp_path / "words").mkdir()
    with pytest.raises(ConversionError, match="omit this format"):
        export(model, tmp_path / "words")
    assert not any((tmp_path / "words").iterdir())
    assert export(model, tmp_path / "words", formats=["saved_model"]).version == 1


CHILD = """
import sys
import keras
from keras_dl_export import export

def tell(step):
    print(step, flush=True)
    if step == "Checking ONNX: serving_default":
        sys.stdin.read()  # until killed

model = keras.Sequential([keras.Input((4,), name="features"), keras.layers.Dense(2)])
print("now exporting", file=sys.stderr, flush=True)
export(model, sys.argv[1], progress=tell)
"""


@pytest.mark.slow
def test_a_killed_export_leaves_no_version(perceptron: keras.Model, tmp_path: Path) -> None:
    folder = tmp_path / "iris"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with (
        (tmp_path / "stderr").open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment,
        ) as child,
    ):
        assert child.stdout is not None
        assert any(
            line.strip() == "Checking ONNX: serving_default" for line in iter(child.stdout.readline, "")
        )
        (staged,) = folder.iterdir()
        assert (staged / "saved_model.pb").exists()
        # Another export beside the living one leaves its folder alone.
        assert export(perceptron, folder, formats=["saved_model"]).version == 1
        assert staged.exists()
        child.send_signal(signal.SIGKILL)
    # TensorFlow's import is not the exporter's, but the converters' chatter is kept from the terminal.
    before, marker, after = (tmp_path / "stderr").read_text().partition("now exporting\n")
    assert marker, before
    assert after == ""
    assert list_versions(folder) == [1]
    assert staged.exists()
    assert export(perceptron, folder, formats=["saved_model"]).version == 2
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]


def test_concurrent_exporters_write_different_versions(tmp_path: Path) -> None:
    taken: list[int] = []
    barrier = threading.Barrier(8)

    def exporter() -> None:
        for _ in range(5):
            with staging_folder(tmp_path) as staged:
                (staged / "file").write_text("x")
                barrier.wait(timeout=30)
                taken.append(int(publish(staged, tmp_path).name))

    threads = [threading.Thread(target=exporter, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 41)) == list_versions(tmp_path)
    assert len(list(tmp_path.iterdir())) == 40


def _bare_release(folder: Path) -> Path:
    with staging_folder(folder) as staged:
        (staged / "saved_model.pb").write_bytes(b"graph")
        (staged / "variables").mkdir()
        (staged / "variables" / "data").write_bytes(b"weights")
        write_manifest(staged, {"artifacts": [], "endpoints": {}})
        return publish(staged, folder)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda path: (path / "variables" / "data").write_bytes(b"WEIGHTS"),
            "altered: variables/data has changed",
        ),
        (
            lambda path: (path / "variables" / "data").write_bytes(b"wei"),
            "altered: variables/data has changed",
        ),
        (lambda path: (path / "saved_model.pb").unlink(), "incomplete: saved_model.pb is missing"),
        (lambda path: (path / "extra.onnx").write_bytes(b""), "altered: extra.onnx is not part of it"),
        (
            lambda path: (path / "release.json").write_text('{"format_v'),
            "incomplete: release.json is truncated",
        ),
        (lambda path: (path / "release.json").unlink(), "incomplete: release.json is missing"),
        (lambda path: (path / "release.json").write_text('{"format_version": 99}'), "got one of format 99"),
    ],
)
def test_an_incomplete_or_altered_release_is_detected(tmp_path: Path, harm: Any, message: str) -> None:
    path = _bare_release(tmp_path / "iris")
    assert open_release(path).path == path
    harm(path)
    for read in (open_release, load_artifact, verify):
        with pytest.raises(ReleaseError, match=f"iris/1: .*{message}.*Export the model again"):
            read(path.parent)


def test_a_missing_release_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ReleaseError, match=r"expected a release or the folder of its versions, found neither"
    ):
        open_release(tmp_path)


def test_an_unwritable_folder_is_named(perceptron: keras.Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReleaseError, match="file/iris: expected a writable folder, got Not a directory"):
        export(perceptron, tmp_path / "file" / "iris", formats=["saved_model"])


def test_a_full_disk(tmp_path: Path) -> None:
    def export_half() -> None:
        with staging_folder(tmp_path / "iris") as staged:
            (staged / "half").write_text("written")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ReleaseError, match="iris: writing failed: No space left on device"):
        export_half()
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(perceptron: keras.Model, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ReleaseError, match="expected a writable folder, got Permission denied"):
        export(perceptron, tmp_path / "iris", formats=["saved_model"])
