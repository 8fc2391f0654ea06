"""Warm-up records and verified releases."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import tensorflow as tf

from keras_dl_export.release import write_manifest
from keras_dl_serving import Server
from keras_dl_serving.errors import DataLossError, InvalidArgumentError, UnimplementedError
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.loading import Loading
from keras_dl_serving.server.releases import VersionFolder
from keras_dl_serving.server.settings import ServerSettings
from keras_dl_serving.server.warmup import WARMUP_FILE, warm_up
from tests._support.fake_engine import FakeEngine
from tests._support.served_models import save_scale
from tests._support.warmup_records import predict_log, write_warmup


def test_every_warm_up_record_is_run(tmp_path: Path) -> None:
    seen: list[float] = []

    def note(
        x: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        seen.extend(x.tolist())
        return x

    assert warm_up(FakeEngine(note), tmp_path) == 0
    write_warmup(tmp_path, *(predict_log(value).SerializeToString() for value in (1, 2)))
    assert warm_up(FakeEngine(note), tmp_path) == 2
    assert warm_up(FakeEngine(note), tmp_path, iterations=2) == 2
    assert seen == [1, 2, 1, 1, 2, 2]


def test_the_file_format_is_that_of_tensorflow(tmp_path: Path) -> None:
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.5]))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    (tmp_path / WARMUP_FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / WARMUP_FILE)) as writer:
        writer.write(log.SerializeToString())
    assert warm_up(FakeEngine(), tmp_path) == 1


def test_a_bad_record_is_an_error(tmp_path: Path) -> None:
    write_warmup(tmp_path, predict_log(1, name="z").SerializeToString())
    with pytest.raises(InvalidArgumentError, match="Inputs contains invalid name|input size|not found"):
        warm_up(FakeEngine(), tmp_path)
    write_warmup(tmp_path, b"\xff\xff")
    with pytest.raises(InvalidArgumentError, match="Failed to parse warmup record: 0"):
        warm_up(FakeEngine(), tmp_path)
    session_run = messages.PredictionLog()
    session_run.session_run_log.SetInParent()
    write_warmup(tmp_path, session_run.SerializeToString())
    with pytest.raises(UnimplementedError, match="^Unsupported log_type for warmup: 5$"):
        warm_up(FakeEngine(), tmp_path)
    write_warmup(tmp_path, b"")
    assert warm_up(FakeEngine(), tmp_path) == 1  # a record of nothing is run as nothing
    (tmp_path / WARMUP_FILE).write_bytes(bytes(5))
    with pytest.raises(
        DataLossError, match="truncated record at 0. Please verify your warmup data is in TFRecord"
    ):
        warm_up(FakeEngine(), tmp_path)
    write_warmup(tmp_path, predict_log(1).SerializeToString())
    good = (tmp_path / WARMUP_FILE).read_bytes()
    for place in (0, 8, 20, len(good) - 1):  # a length, its checksum, a record, its checksum
        altered = bytearray(good)
        altered[place] ^= 1
        (tmp_path / WARMUP_FILE).write_bytes(altered)
        with pytest.raises(DataLossError, match="corrupted record at 0. Please verify your warmup data"):
            warm_up(FakeEngine(), tmp_path)
    write_warmup(tmp_path, *[predict_log(1).SerializeToString()] * 1001)
    with pytest.raises(InvalidArgumentError, match="exceeds the maximum"):
        warm_up(FakeEngine(), tmp_path)


def test_an_altered_release_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "m" / "1"
    save_scale(folder, 2)
    version = VersionFolder(1, folder, 1)
    write_manifest(folder, {})
    Loading(verify_releases=True)(version).close()
    manifest = json.loads((folder / "release.json").read_text())
    manifest["files"]["model.onnx"]["sha256"] = "0" * 64
    (folder / "release.json").write_text(json.dumps(manifest))
    with pytest.raises(DataLossError, match=r"the release was altered: model\.onnx has changed"):
        Loading(verify_releases=True)(version)
    Loading()(version).close()  # no report unless one is requested


def test_a_server_reports_an_altered_release_while_the_old_one_serves(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / "staged" / str(number)
        save_scale(folder, number)
        write_manifest(folder, {})
    (tmp_path / "releases" / "m").mkdir(parents=True)
    (tmp_path / "staged" / "1").rename(tmp_path / "releases" / "m" / "1")
    settings = ServerSettings(loading=Loading(verify_releases=True))
    with Server(
        tmp_path / "releases", rest_port=0, grpc_port=None, poll_seconds=0.05, settings=settings
    ) as server:
        url = f"{server.rest_url}/v1/models/m"
        model = tmp_path / "staged" / "2" / "model.onnx"
        model.write_bytes(model.read_bytes() + b"\0")
        (tmp_path / "staged" / "2").rename(tmp_path / "releases" / "m" / "2")
        deadline = time.monotonic() + 20
        while (
            len(versions := httpx.get(url).json()["model_version_status"]) < 2
            or versions[0]["state"] != "END"
        ):
            assert time.monotonic() < deadline, versions
            time.sleep(0.02)
        altered, old = versions
        assert (altered["version"], altered["status"]["error_code"]) == ("2", "DATA_LOSS")
        assert "the release was altered: model.onnx has changed" in altered["status"]["error_message"]
        assert (old["version"], old["state"]) == ("1", "AVAILABLE")
        assert httpx.post(f"{url}:predict", content='{"instances": [3]}').json() == {"predictions": [3.0]}
