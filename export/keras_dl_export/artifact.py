"""A written file or folder, and what is known of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keras_dl_export.accuracy import Accuracy
from keras_dl_export.parity import Parity

FORMATS = ("saved_model", "tflite", "onnx")


@dataclass(frozen=True)
class Artifact:
    """One model file in one format, proven equal to its model.

    Attributes:
        path: the file, or the folder of a SavedModel.
        format: ``"saved_model"``, ``"tflite"`` or ``"onnx"``.
        endpoints: the endpoints it holds.
        bytes: its size on disk.
        operators: how many of each operator its graphs hold.
        parity: the comparisons it passed.
        quantize: how its weights were quantised, or None.
        notes: what the format could only express in a slower form, or not fully: a sentence each.
        accuracy: how often it is right on labelled data, beside its model; None if there were none.
    """

    path: Path
    format: str
    endpoints: tuple[str, ...]
    bytes: int
    operators: Mapping[str, int]
    parity: Parity
    quantize: str | None = None
    notes: tuple[str, ...] = ()
    accuracy: Accuracy | None = None

    @property
    def max_abs_error(self) -> float:
        """The largest absolute difference from the Keras model, over all endpoints, outputs and cases."""
        return self.parity.max_abs_error

    @property
    def label(self) -> str:
        """What errors and comparisons call it: its path in a release, or its own name."""
        if self.format == "onnx" and self.path.parent.name == "onnx":
            return f"onnx/{self.path.name}"
        return self.format if self.format == "saved_model" else self.path.name

    def __fspath__(self) -> str:
        return os.fspath(self.path)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all the files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
