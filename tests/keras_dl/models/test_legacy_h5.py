"""Whole models in HDF5 files, at the command line."""

from pathlib import Path

import keras
import pytest
from typer.testing import CliRunner

from keras_dl import cli, load_model


def _invoke(*arguments: str) -> None:
    result = CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "100"})
    if result.exception:
        raise result.exception


def _saved(name: str) -> keras.Model:
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.layers.Dense(2)(x))
    model.compile("adam", loss="mse", metrics=["mae"])
    model.save(name)
    return model


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_a_legacy_model_is_exported_and_compared_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _saved("small.h5")
    Path("other.hdf5").write_bytes(Path("small.h5").read_bytes())
    _invoke("export", "small.h5", "--to", "onnx")
    _invoke("verify", "releases/small/1/onnx/serving_default.onnx", "--model", "other.hdf5")


def test_a_file_of_weights_alone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights("m.weights.h5")
    for arguments in (("export", "m.weights.h5"), ("verify", "m.weights.h5", "--model", "m.weights.h5")):
        with pytest.raises(ValueError, match=r"m\.weights\.h5.*only weights.*load_weights"):
            _invoke(*arguments)
    assert not Path("releases").exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    with pytest.raises(ValueError, match=r"m\.h5.*damaged"):
        load_model(tmp_path / "m.h5")
