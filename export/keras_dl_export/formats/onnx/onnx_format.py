"""ONNX as a `Format`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keras_dl_export.format import Format
from keras_dl_export.runner import Runner

_IR_VERSION = b"\x08"  # the tag of a model's first field; a protobuf has no signature of its own


class OnnxFormat(Format):
    """ONNX: one file an endpoint."""

    name = "onnx"

    def recognizes(self, path: Path) -> bool:
        """Tell whether `path` begins as an ONNX model does."""
        if path.is_dir():
            return False
        with path.open("rb") as file:
            return file.read(1) == _IR_VERSION

    def open(self, path: Path, threads: int | None) -> Mapping[str, Runner]:
        """Load a file in onnxruntime."""
        from keras_dl_export.formats.onnx.onnx_runner import open_onnx

        return open_onnx(path, threads)
