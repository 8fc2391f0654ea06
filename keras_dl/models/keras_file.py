"""Loading of saved models."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras

from keras_dl_export.errors import first_line

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_model(path: str | Path, *, compile: bool = True) -> Any:
    """Load a model with its optimizers from a `.keras` file, or a whole model from a legacy `.h5` file.

    Keras only finds registered classes. Importing `keras_dl.models` registers all classes of this package.

    Args:
        path: the file that `model.save` wrote, `.keras` or HDF5 (`.h5`, `.hdf5`).
        compile: whether to restore losses, metrics and optimizers. Legacy `.h5` files often contain losses
            that Keras 3 no longer has: pass False for them.

    Returns:
        The model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file has another format, or contains only weights, unregistered classes, or Python
            code.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"path: expected a .keras file, got {path}, which does not exist. Pass the path that model.save "
            "wrote."
        )
    legacy = _starts_with(path, _HDF5)
    if legacy:
        _check_whole_model(path)
    elif not _is_keras_file(path):
        raise ValueError(
            "path: expected a .keras file (the ZIP archive that model.save writes) or a model in HDF5, got "
            f"{path}, which is neither. Save the model with model.save('model.keras'); load exported "
            "artifacts with keras_dl.export.load_artifact."
        )
    try:
        return keras.saving.load_model(path, compile=compile)
    except TypeError as error:
        if "Could not locate class" not in str(error):
            if legacy:
                raise _unreadable(path, error) from error
            raise
        raise ValueError(
            f"path: {path} contains an unregistered class. Import the module that registers it with "
            f"keras.saving.register_keras_serializable before load_model. Keras reports: {error}"
        ) from error
    except ValueError as error:
        if "enable_unsafe_deserialization" not in str(error):
            if legacy:
                raise _unreadable(path, error) from error
            raise
        raise ValueError(
            f"path: {path} contains Python code, such as a Lambda layer, which is not run by default. If you "
            "trust the file, call keras.config.enable_unsafe_deserialization() before load_model, and export "
            "the model in Python; or build it from other layers."
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
        raise ValueError(
            f"path: {path} is a damaged HDF5 file. Copy it again. HDF5 reports: {error}"
        ) from error
    if not whole:
        raise ValueError(
            f"path: expected a whole model, got {path}, which contains only weights. Build the model in "
            "Python, call model.load_weights on the file, and then model.save('model.keras') or "
            "keras_dl.export.export(model, ...)."
        )


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"path: Keras 3 cannot read the legacy model in {path}: {first_line(error)}. Load it with the "
        "Keras version that wrote it, and save it with model.save('model.keras'); or pass compile=False if a "
        "loss or metric is missing."
    )


def _is_keras_file(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"config.json", "metadata.json"} <= set(archive.namelist())
