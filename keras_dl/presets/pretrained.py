"""Trained models whose small weights are part of this package.

`keras_dl/presets/index.json` contains a record of each preset by its name:

    file, sha256, bytes   the weights in the order of `model.weights`, `.npz`, in half precision
    model                 the serialized Keras model: class and config
    run                   metrics.json of its training: recipe, seed, epochs, metrics, versions

`python -m keras_dl.training.make_preset` writes both files from a run folder.
"""

from __future__ import annotations

import io
import json
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, TypeVar, cast

import keras
import numpy as np
from numpy.typing import NDArray

from keras_dl_export.arguments import did_you_mean
from keras_dl_export.files import sha256

Model = TypeVar("Model")

INDEX_FILE = "index.json"
FOLDER: Traversable = resources.files("keras_dl") / "presets"


def list_presets() -> list[str]:
    """Return the names of all presets, sorted."""
    return sorted(read_index(FOLDER))


def load_preset(model_class: type[Model], name: str) -> Model:
    """Return the trained model of that name; see `from_preset` of the model classes."""
    index = read_index(FOLDER)
    if name not in index:
        question = did_you_mean(name, index)
        raise LookupError(
            f"name: there is no preset {name!r}.{question} All presets: {', '.join(sorted(index))}."
        )
    record = index[name]
    its_class = keras.saving.get_registered_object(record["model"]["registered_name"])
    if not issubclass(its_class, model_class):
        raise TypeError(
            f"name: the preset {name!r} is a {its_class.__name__}, not a {model_class.__name__}. Call "
            f"{its_class.__name__}.from_preset({name!r})."
        )
    weights = _read_weights(FOLDER / record["file"], record["sha256"])
    model: Any = keras.saving.deserialize_keras_object(record["model"])
    model.set_weights(weights)
    return cast(Model, model)


def read_index(folder: Traversable) -> dict[str, Any]:
    """Return the records of the presets in a folder, by name; {} without an index."""
    path = folder / INDEX_FILE
    index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return index


def _read_weights(path: Traversable, expected: str) -> list[NDArray[Any]]:
    content = path.read_bytes() if path.is_file() else b""
    digest = sha256(content)
    if digest != expected:
        raise RuntimeError(
            f"{path.name}: expected weights with SHA-256 {expected}, got {digest} of {len(content):,} bytes: "
            "the file is missing, corrupt or modified. Reinstall keras-dl."
        )
    with np.load(io.BytesIO(content)) as arrays:
        return [arrays[each] for each in arrays.files]
