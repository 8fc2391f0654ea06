"""ONNX as a `Format`."""

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

DEFAULT_OPSET = 18  # the newest version that tf2onnx writes
_OPSETS = range(13, DEFAULT_OPSET + 1)
_IR_VERSION = b"\x08"  # the tag of a model's first field; a protobuf has no file signature


class OnnxFormat(Format):
    """ONNX: one file per endpoint.

    Attributes:
        opset: the version of the operators.
    """

    name = "onnx"
    title = "ONNX"
    quantizations = ("float16", "int8")

    def __init__(self, opset: int = DEFAULT_OPSET) -> None:
        """Select the version of the operators.

        Raises:
            ValueError: an unsupported `opset`.
        """
        if opset not in _OPSETS:
            raise ValueError(f"opset: expected {_OPSETS.start} to {_OPSETS.stop - 1}, got {opset!r}.")
        self.opset = opset

    def recognizes(self, path: Path) -> bool:
        """Return whether `path` starts like an ONNX model."""
        if path.is_dir():
            return False
        with path.open("rb") as file:
            return file.read(1) == _IR_VERSION

    def open(self, path: Path, threads: int | None) -> Mapping[str, Runner]:
        """Load a file in onnxruntime."""
        from keras_dl_export.formats.onnx.onnx_runner import open_onnx

        return open_onnx(path, threads)

    def emitter(self, quantize: str | None) -> Emitter:
        """Return the writer of recurrent layers as ONNX's own nodes."""
        from keras_dl_export.formats.onnx.onnx_recurrent import emit_onnx

        return emit_onnx

    def files(self, endpoints: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return a file for each endpoint."""
        return {f"onnx/{name}.onnx": (name,) for name in endpoints}

    def write(
        self,
        signatures: Mapping[str, Signature],
        path: Path,
        quantization: Quantization | None = None,
        saved_model: Path | None = None,
    ) -> None:
        """Write one file with the given endpoint."""
        from keras_dl_export.formats.onnx.onnx_writer import write_onnx

        (signature,) = signatures.values()
        write_onnx(signature, path, self.opset, quantization)

    def count_operators(self, path: Path, signatures: Mapping[str, Signature]) -> Mapping[str, int]:
        """Count the nodes, including those inside loops and branches."""
        from keras_dl_export.formats.onnx.onnx_contents import count_onnx_operators

        return count_onnx_operators(path)

    def versions(self, path: Path) -> Mapping[str, int | str]:
        """Return the versions of the operator sets and of the file's format."""
        from keras_dl_export.formats.onnx.onnx_contents import onnx_versions

        return onnx_versions(path)
