"""TFLite as a `Format`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keras_dl_export.format import Format
from keras_dl_export.runner import Runner


class TFLiteFormat(Format):
    """TFLite: one file with one signature an endpoint."""

    name = "tflite"

    def recognizes(self, path: Path) -> bool:
        """Tell whether `path` is a flatbuffer of TFLite's schema."""
        if path.is_dir():
            return False
        with path.open("rb") as file:
            return file.read(8)[4:] == b"TFL3"

    def open(self, path: Path, threads: int | None) -> Mapping[str, Runner]:
        """Load a file in LiteRT's interpreter."""
        from keras_dl_export.formats.tflite.tflite_runner import open_tflite

        return open_tflite(path, threads)
