"""The cost of imports, and the package as used by another project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import keras_dl_serving
from keras_dl_export.errors import KerasDLError

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_client_imports_no_tensorflow() -> None:
    loaded = run(
        "import sys\n"
        "from keras_dl.serving import Client, AsyncClient, NotFound\n"
        "import keras_dl_serving.pytest_plugin\n"
        "print([name for name in ('tensorflow', 'keras', 'grpc', 'httpcore', 'starlette', 'google.protobuf') "
        "if name in sys.modules])\n"
        "Client('http://localhost:1')\n"
        "print([name for name in ('grpc', 'google.protobuf') if name in sys.modules])\n"
        "Client('grpc://localhost:1')\n"
        "print([name for name in ('tensorflow', 'keras', 'starlette', 'uvicorn', 'click', 'rich') "
        "if name in sys.modules])\n"
    )
    assert loaded == "[]\n[]\n[]"


@pytest.mark.parametrize("url", ["http://localhost:1", "grpc://localhost:1"])
def test_a_client_starts_quickly(url: str) -> None:
    """Compare the start with NumPy's plus half a second, in processor time, because machines are busy."""

    def seconds(code: str) -> float:
        measured = "import time; began = time.process_time(); {}; print(time.process_time() - began)"
        return min(float(run(measured.format(code))) for _ in range(3))

    numpy = seconds("import numpy")
    whole = seconds(f"from keras_dl.serving import Client; Client({url!r})")
    assert whole < 4 * numpy
    assert whole - numpy < 0.5


def test_the_server_is_imported_without_tensorflow() -> None:
    code = "import sys; from keras_dl.serving import Server; print('tensorflow' in sys.modules)"
    assert run(code) == "False"


def test_every_public_name_exists() -> None:
    for name in keras_dl_serving.__all__:
        assert getattr(keras_dl_serving, name).__name__ in (name, f"{name}Error")
    with pytest.raises(AttributeError, match="keras_dl_serving attribute Nothing"):
        _ = keras_dl_serving.Nothing


def test_errors_keep_their_former_names_and_have_one_root() -> None:
    errors = [name for name in keras_dl_serving.__all__ if name.endswith("Error")]
    assert len(errors) == 23
    for name in errors:
        error = getattr(keras_dl_serving, name)
        assert issubclass(error, KerasDLError)
        if name not in ("ServingError", "StatusError", "ServerStartError"):
            assert getattr(keras_dl_serving, name.removesuffix("Error")) is error


_PROJECT = """
from keras_dl.serving import Client

def test_my_app(keras_dl_server):
    server = keras_dl_server({releases!r})
    for url in (server.rest_url, server.grpc_url):
        with Client(url) as client:
            assert client.predict("half_plus_two", [1.0])["y"].tolist() == [2.5]

def test_again(keras_dl_server):
    assert keras_dl_server({releases!r}) is keras_dl_server({releases!r})
    assert keras_dl_server({releases!r}, grpc_port=None).grpc_port is None
"""


@pytest.mark.slow
def test_the_fixture_works_in_another_project(releases: Path, tmp_path: Path) -> None:
    (tmp_path / "test_my_app.py").write_text(_PROJECT.format(releases=str(releases)))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_app.py"]
    plugins = subprocess.run(
        [*command, "--trace-config"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in plugins.stdout, plugins.stdout + plugins.stderr
    assert "keras_dl_serving" in plugins.stdout  # as an installed plugin, without -p
