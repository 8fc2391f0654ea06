"""`keras-dl serve`, `query` and `models`, against a server of ONNX models."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from keras_dl import cli
from keras_dl.cli.inputs import read_inputs
from keras_dl.reports.tables import answers_table
from keras_dl_serving import Client, Server, Signature, TensorSpec
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.settings import ServerSettings
from tests._support.certificates import certificate
from tests._support.peers import RestModel, rest_peer


def save_mean(folder: Path, shape: list[Any]) -> None:
    """`image -> mean` of each row's pixels."""
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    mean = helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["batch"])
    axes = helper.make_tensor("axes", TensorProto.INT64, [len(shape) - 1], list(range(1, len(shape))))
    node = helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0)
    graph = helper.make_graph([node], "mean", [given], [mean], [axes])
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    save_mean(folder / "photo" / "1", ["batch", 4, 6, 3])
    save_mean(folder / "scan" / "2", ["batch", 4, 4, 1])
    return folder


@pytest.fixture(scope="module")
def url(releases: Path) -> Iterator[str]:
    with Server(releases, rest_port=0, grpc_port=None, poll_seconds=None) as server:
        yield server.rest_url


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., str]:
    """Run `keras-dl ...`, and return its output or its error in one line."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["keras-dl", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == status
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return re.sub(r"\s+", " ", printed.err if status else printed.out)

    return run


def save_image(path: Path, color: tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> None:
    Image.new("RGB", size, color).save(path)


def test_images(run: Callable[..., str], url: str, tmp_path: Path) -> None:
    save_image(tmp_path / "red.png", (255, 0, 0))
    save_image(tmp_path / "white.png", (255, 255, 255), (60, 40))
    run("query", url, "photo", "red.png", "white.png", "--out", "answers.npz")
    with np.load(tmp_path / "answers.npz") as answers:
        np.testing.assert_allclose(answers["mean"], [1 / 3, 1], rtol=1e-6)
    run("query", url, "scan", "--input", "image=white.png", "--out", "answers.npz")
    with np.load(tmp_path / "answers.npz") as answers:
        np.testing.assert_allclose(answers["mean"], [1], rtol=1e-6)


def test_arrays_json_and_standard_input(
    run: Callable[..., str], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.full((2, 4, 4, 1), 7, np.float32)
    np.save(tmp_path / "scan.npy", array)
    npy = (tmp_path / "scan.npy").read_bytes()
    text = json.dumps(array.tolist())
    (tmp_path / "scan.json").write_text(json.dumps({"image": array.tolist()}))
    for word, given in (
        ("scan.npy", b""),
        ("image=scan.npy", b""),
        ("scan.json", b""),
        (text, b""),
        (f"image={text}", b""),
        ("-", text.encode()),
        ("-", npy),
        ("image=-", npy),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert "7" in run("query", url, "scan", word, "--out", "answers.npz")
        with np.load(tmp_path / "answers.npz") as answers:
            assert answers["mean"].tolist() == [7, 7]


def test_a_model_without_inputs_is_described(run: Callable[..., str], url: str) -> None:
    assert "float32 (batch, 4, 6, 3)" in run("query", url, "photo")


@pytest.fixture
def texts() -> Iterator[tuple[str, RestModel]]:
    """Yield a server of a model `m` that returns strings."""
    model = RestModel(gives="DT_STRING", y=["a", {"b64": "/wE="}])
    with rest_peer(model.answer) as url:
        yield url, model


def test_strings_are_shown_in_part_and_written_whole(
    run: Callable[..., str], texts: tuple[str, RestModel], tmp_path: Path
) -> None:
    url, model = texts
    assert r"b'\xff\x01'" in run("query", url, "m", "[1, 2]", "--out", "answers.npz")
    with np.load(tmp_path / "answers.npz") as answers:
        assert answers["y"].tolist() == [b"a", b"\xff\x01"]
    model.y = ["x" * 5000]
    shown = run("query", url, "m", "[1]", "--out", "answers.npz")
    assert "x... (5,000 bytes)" in shown
    assert len(shown) < 500
    model.y = [[["a", "b"]]]
    assert "string 1x2" in run("query", url, "m", "[1]")
    model.y = ["ends in \0"]
    error = run("query", url, "m", "[1]", "--out", "answers.npz", status=1)
    assert "--out: output 'y' has strings that end in zero bytes" in error
    with np.load(tmp_path / "answers.npz") as answers:
        assert len(answers["y"][0]) == 5000
    assert [path.name for path in tmp_path.iterdir()] == ["answers.npz"]


@pytest.mark.parametrize(
    ("out", "what"), [("nowhere/a.npz", "in no folder"), (".", "a folder"), ("/proc/a.npz", "not writable")]
)
def test_an_unwritable_output_is_refused_before_the_request(
    run: Callable[..., str],
    texts: tuple[str, RestModel],
    out: str,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).is_dir() and str(path) != "/proc")
    url, model = texts
    error = run("query", url, "m", "[1]", "--out", out, status=1)
    assert f"expected a file in a folder that can be written to, got {out}, which is {what}" in error
    assert model.asked == []


def test_answers_of_any_kind() -> None:
    def cells(**answers: Any) -> list[tuple[str, ...]]:
        return list(answers_table({name: np.asarray(each) for name, each in answers.items()}).rows)

    assert cells(a=[1, 2], b=[0.5]) == [("0", "1", "0.5"), ("1", "2", "")]
    assert cells(a=[[[True]]], b=np.ones((1, 0, 2)), c=3) == [("0", "bool 1x1", "float64 0x2", "3")]
    assert cells(a=np.array([["ab", "c"]], object)) == [("0", "['ab' 'c']")]
    assert cells(a=np.float32([[[1, 2]]])) == [("0", "float32 1x2, 1 to 2")]


def test_one_signature_is_described(run: Callable[..., str], url: str) -> None:
    assert "serving_default" in run("query", url, "photo", "--signature", "serving_default")
    error = run("query", url, "photo", "--signature", "s", status=1)
    assert "--signature: expected one of 'serving_default', got 's'" in error


def test_models(run: Callable[..., str], url: str) -> None:
    assert re.search(r"photo 1 AVAILABLE scan 2 AVAILABLE", run("models", url))
    assert "scan" not in run("models", url, "photo")


def test_mutual_tls(run: Callable[..., str], releases: Path, tmp_path: Path) -> None:
    key, cert = certificate()
    (tmp_path / "key.pem").write_text(key)
    (tmp_path / "cert.pem").write_text(cert)
    tls = messages.SSLConfig(server_key=key, server_cert=cert, custom_ca=cert, client_verify=True)
    settings = ServerSettings(grpc_tls=tls, rest_tls=tls)
    trust = ("--ca-file", "cert.pem")
    own = ("--cert-file", "cert.pem", "--key-file", "key.pem")
    with Server(releases, rest_port=0, grpc_port=0, settings=settings) as server:
        assert "photo 1 AVAILABLE" in run("models", server.rest_url, *trust, *own)
        assert "AVAILABLE" in run("models", server.grpc_url, "scan", *trust, *own)
        assert "float32" in run("query", server.grpc_url, "scan", *trust, *own)
        assert "cannot be reached" in run("models", server.rest_url, *trust, status=1)
    assert "expected a URL with TLS" in run("query", "grpc://localhost:1", "scan", *trust, status=1)


def test_headers(run: Callable[..., str], header_server: tuple[str, list[str]]) -> None:
    url, asked = header_server
    run("models", url, "m", "--header", "Authorization=Bearer a=b", "--header", "x-tenant=7")
    assert asked == ["Bearer a=b", "7"]
    error = run("models", url, "m", "--header", "Authorization: Bearer", status=1)
    assert "--header: expected NAME=VALUE, got 'Authorization: Bearer'" in error


@pytest.fixture
def header_server() -> Iterator[tuple[str, list[str]]]:
    """A server that knows no versions of any model, and what it was sent as two headers."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.extend(self.headers[name] for name in ("authorization", "x-tenant"))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"model_version_status": []}')

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", asked
        http.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("scan", "absent.png"), "expected JSON, or the path of an image, .npy or JSON file, for 'image'"),
        (("scan", "[1, 2]"), "inputs['image']: expected shape (batch, 4, 4, 1), got (2,)"),
        (("scan", "x=[1]"), "'x' is unknown"),
        (("scan", "[1]", "--data", "digits"), "--input, --data: expected one of them, got both"),
        (("scan", "[1]", "--signature", "s"), "--signature: expected one of 'serving_default', got 's'"),
        (("scan", "[1]", "--version", "9"), "Servable not found for request: Specific(scan, 9)"),
        (("nothing", "[1]"), "Servable not found for request: Latest(nothing)"),
    ],
)
def test_errors(run: Callable[..., str], url: str, arguments: tuple[str, ...], text: str) -> None:
    error = run("query", url, *arguments, status=1)
    assert text in error
    assert error.count("error:") == 1


def test_models_beside_one_that_fails(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["keras-dl", "models", url, "scan", "nope", "photo", "none"])
    with pytest.raises(SystemExit):
        cli.main()
    printed = capsys.readouterr()
    assert re.search(r"scan +2 +AVAILABLE\s+photo +1 +AVAILABLE", printed.out)
    assert "versions of model nope; Could not find any versions of model none" in printed.err


def test_errors_that_are_piped_are_not_wrapped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["keras-dl", "query", "https://localhost:1", "m", "--ca-file", "n" * 99])
    with pytest.raises(SystemExit):
        cli.main()
    error, _ = capsys.readouterr().err.splitlines()
    assert error == f"error: [Errno 2] No such file or directory: '{'n' * 99}'"


def test_errors_of_models(run: Callable[..., str], url: str) -> None:
    assert "Could not find any versions of model m" in run("models", url, "m", status=1)
    assert "cannot be reached" in run("models", "http://localhost:1", status=1)


def test_encoded_images_and_several_inputs(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", (1, 2, 3))
    content = (tmp_path / "a.png").read_bytes()
    word = str(tmp_path / "a.png")
    encoded = Signature({"image_bytes": TensorSpec((None,), "string")}, {})
    assert read_inputs([word, word], encoded)["image_bytes"].tolist() == [content, content]
    raw = Signature({"image": TensorSpec((None, None, None, 3), "uint8")}, {})
    assert read_inputs([word], raw)["image"].tolist() == [[[[1, 2, 3]] * 6] * 4]
    two = Signature({name: TensorSpec((None,), "float32") for name in "ab"}, {})
    assert read_inputs(["a=[1]", "a=[2]", "b=[3, 4]"], two)["a"].tolist() == [1, 2]
    assert read_inputs(['{"a": [1], "b": [2]}'], two) == {"a": [1], "b": [2]}
    own = Signature({name: TensorSpec((None,), "float32") for name in ("_1st", "my_x")}, {})
    assert read_inputs(["1st=[1]", "my-x=[3]"], own) == {"_1st": [1], "my_x": [3]}
    with pytest.raises(ValueError, match=r"NAME=VALUE, because the model has the inputs 'a', 'b', got"):
        read_inputs(["[1]"], two)


def test_serve_names_a_remote_folder_in_full(run: Callable[..., str]) -> None:
    error = run("serve", "s3://bucket/m", "--rest-port", "0", "--grpc-port", "0", status=1)
    assert "s3://bucket/m" in error


def test_serve_answers_without_tensorflow_and_stops_on_sigterm(releases: Path, tmp_path: Path) -> None:
    command = (
        "import sys\nfrom keras_dl.cli import main\n"
        "try:\n    main()\nfinally:\n    print('tensorflow' in sys.modules)"
    )
    arguments = ["serve", str(releases), "--rest-port", "0", "--grpc-port", "-1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    serving = subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stderr is not None
        said = re.search(r"http://localhost:\d+", next(line for line in serving.stderr if "http://" in line))
        assert said
        with Client(said[0]) as client:
            assert client.models() == ["photo", "scan"]
        serving.send_signal(signal.SIGTERM)
        out, _ = serving.communicate(timeout=60)
    finally:
        serving.kill()
    assert (serving.returncode, out.strip()) == (0, "False")
