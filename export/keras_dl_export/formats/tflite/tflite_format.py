"""TFLite as a `Format`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from keras_dl_export.format import Format
from keras_dl_export.runner import Runner

if TYPE_CHECKING:
    from keras_dl_export.lowering import Emitter
    from keras_dl_export.quantization import Quantization
    from keras_dl_export.tracing import Signature


class TFLiteFormat(Format):
    """TFLite: one file with one signature per endpoint."""

    name = "tflite"
    title = "TFLite"
    quantizations = ("float16", "dynamic", "int8")

    def recognizes(self, path: Path) -> bool:
        """Return whether `path` is a flatbuffer of TFLite's schema."""
        if path.is_dir():
            return False
        with path.open("rb") as file:
            return file.read(8)[4:] == b"TFL3"

    def open(self, path: Path, threads: int | None) -> Mapping[str, Runner]:
        """Load a file in LiteRT's interpreter."""
        from keras_dl_export.formats.tflite.tflite_runner import open_tflite

        return open_tflite(path, threads)

    def emitter(self, quantize: str | None) -> Emitter:
        """Return the writer of recurrent layers and operators as TFLite's builtin operators."""
        from keras_dl_export.formats.tflite.tflite_recurrent import TFLiteRecurrent

        return TFLiteRecurrent(calibrated=quantize == "int8")

    def files(self, endpoints: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return one file, under the name that TensorFlow Serving expects."""
        return {"model.tflite": tuple(endpoints)}

    def write(
        self,
        signatures: Mapping[str, Signature],
        path: Path,
        quantization: Quantization | None = None,
        saved_model: Path | None = None,
    ) -> None:
        """Write one file with only builtin operators."""
        from keras_dl_export.formats.tflite.tflite_writer import write_tflite

        write_tflite(signatures, path, quantization, saved_model)

    def count_operators(self, path: Path, signatures: Mapping[str, Signature]) -> Mapping[str, int]:
        """Count the operators of all subgraphs."""
        from keras_dl_export.formats.tflite.tflite_contents import count_tflite_operators

        return count_tflite_operators(path)

    def versions(self, path: Path) -> Mapping[str, int | str]:
        """Return the versions of the schema and of the oldest runtime that can run the file."""
        from keras_dl_export.formats.tflite.tflite_contents import tflite_versions

        return tflite_versions(path)
