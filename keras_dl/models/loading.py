"""Bring a saved model back."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras


def load_model(path: str | Path, *, compile: bool = True) -> Any:
    """Load a `.keras` file, with its optimizers where it has them.

    Keras finds no class that has not been registered. Importing `keras_dl.models`, which calling this
    function takes, registers all of ours.

    Args:
        path: the file that `model.save` wrote.
        compile: whether losses, metrics and optimizers come back too.

    Returns:
        The model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no `.keras` file, or holds classes that are not registered, or Python code.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"path: expected a .keras file, but there is none at {path}. Give the path that model.save wrote."
        )
    if not _is_keras_file(path):
        raise ValueError(
            f"path: expected a .keras file (the zip archive that model.save writes), got {path}, which is "
            "not one. Save the model with model.save('model.keras'); exported artifacts load with "
            "keras_dl.export.load_artifact."
        )
    try:
        return keras.saving.load_model(path, compile=compile)
    except TypeError as error:
        if "Could not locate class" not in str(error):
            raise
        raise ValueError(
            f"path: {path} holds a class that is not known here. Import the module that registers it with "
            f"keras.saving.register_keras_serializable before load_model. Keras says: {error}"
        ) from error
    except ValueError as error:
        if "enable_unsafe_deserialization" not in str(error):
            raise
        raise ValueError(
            f"path: {path} holds Python code, such as that of a Lambda layer, which is not run unasked. If "
            "you trust the file, call keras.config.enable_unsafe_deserialization() before load_model, and "
            "export the model in Python; or build it from other layers."
        ) from error


def _is_keras_file(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"config.json", "metadata.json"} <= set(archive.namelist())
