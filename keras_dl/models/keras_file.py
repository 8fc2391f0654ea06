"""Bring a saved model back."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras

from keras_dl_export.errors import first_line

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_model(path: str | Path, *, compile: bool = True) -> Any:
    """Load a `.keras` file, with its optimizers where it has them, or a whole model in a legacy `.h5` file.

    Keras finds no class that has not been registered. Importing `keras_dl.models`, which calling this
    function takes, registers all of ours.

    Args:
        path: the file that `model.save` wrote, `.keras` or HDF5 (`.h5`, `.hdf5`).
        compile: whether losses, metrics and optimizers come back too. Old `.h5` files often name losses that
            Keras 3 no longer finds: pass False for them.

    Returns:
        The model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is neither, or holds weights alone, classes that are not registered, or Python
            code.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"path: expected a .keras file, but there is none at {path}. Give the path that model.save wrote."
        )
    legacy = _starts_with(path, _HDF5)
    if legacy:
        _check_whole_model(path)
    elif not _is_keras_file(path):
        raise ValueError(
            f"path: expected a .keras file (the zip archive that model.save writes), got {path}, which is "
            "neither that nor a model in HDF5. Save it with model.save('model.keras'); exported artifacts "
            "load with keras_dl.export.load_artifact."
        )
    try:
        return keras.saving.load_model(path, compile=compile)
    except TypeError as error:
        if "Could not locate class" not in str(error):
            if legacy:
                raise _unreadable(path, error) from error
            raise
        raise ValueError(
            f"path: {path} holds a class that is not known here. Import the module that registers it with "
            f"keras.saving.register_keras_serializable before load_model. Keras says: {error}"
        ) from error
    except ValueError as error:
        if "enable_unsafe_deserialization" not in str(error):
            if legacy:
                raise _unreadable(path, error) from error
            raise
        raise ValueError(
            f"path: {path} holds Python code, such as that of a Lambda layer, which is not run unasked. If "
            "you trust the file, call keras.config.enable_unsafe_deserialization() before load_model, and "
            "export the model in Python; or build it from other layers."
        ) from error


def _starts_with(path: Path, magic: bytes) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _check_whole_model(path: Path) -> None:
    import h5py  # type: ignore[import-untyped]

    try:
        with h5py.File(path) as file:
            whole = "model_config" in file.attrs
    except OSError as error:
        raise ValueError(f"path: {path} is a damaged HDF5 file. Copy it again. HDF5 says: {error}") from error
    if not whole:
        raise ValueError(
            f"path: expected a whole model, got {path}, which holds weights alone. Build the model in "
            "Python, call model.load_weights on the file, and then model.save('model.keras') or "
            "keras_dl.export.export(model, ...)."
        )


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"path: Keras 3 cannot read the legacy model in {path}: {first_line(error)}. Load it where it was "
        "written, and save it with model.save('model.keras'); or pass compile=False if a loss or metric is "
        "missing."
    )


def _is_keras_file(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"config.json", "metadata.json"} <= set(archive.namelist())
