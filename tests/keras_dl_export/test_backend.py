"""Another Keras backend is refused before Keras is imported, whether it is installed or not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from keras_dl_export import BackendError, require_tensorflow_backend
import sys
try:
    require_tensorflow_backend()
except BackendError as error:
    print(error)
assert not {"keras", "tensorflow"} & set(sys.modules)
"""


def _run(**environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KERAS_")}
    inherited["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("backend", ["jax", "torch", "abacus"])
def test_backend_from_the_environment(backend: str) -> None:
    message = _run(KERAS_BACKEND=backend)
    assert f"expected 'tensorflow', got {backend!r} (the environment variable KERAS_BACKEND)" in message
    assert "set KERAS_BACKEND=tensorflow" in message


def test_backend_from_the_config_file(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert f"got 'jax' ({tmp_path / 'keras.json'})" in _run(KERAS_HOME=str(tmp_path))
    # Keras lets the variable win over the file.
    assert _run(KERAS_HOME=str(tmp_path), KERAS_BACKEND="tensorflow") == ""


def test_tensorflow_is_the_default_and_a_broken_config_file_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text("{")
    assert _run(KERAS_HOME=str(tmp_path)) == ""
