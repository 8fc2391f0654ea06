"""SavedModel as a `Format`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from keras_dl_export.format import Format
from keras_dl_export.runner import Runner

if TYPE_CHECKING:
    from keras_dl_export.quantization import Quantization
    from keras_dl_export.tracing import Signature


class SavedModelFormat(Format):
    """SavedModel: a folder with one signature per endpoint; a release is itself a SavedModel."""

    name = "saved_model"
    title = "the SavedModel"
    threads_of_process = True

    def recognizes(self, path: Path) -> bool:
        """Return whether `path` is a folder."""
        return path.is_dir()

    def open(self, path: Path, threads: int | None) -> Mapping[str, Runner]:
        """Load a SavedModel; it uses the threads of TensorFlow in this process."""
        from keras_dl_export.formats.saved_model.saved_model_runner import open_saved_model

        return open_saved_model(path)

    def files(self, endpoints: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the folder of the release, with all endpoints."""
        return {".": tuple(endpoints)}

    def write(
        self,
        signatures: Mapping[str, Signature],
        path: Path,
        quantization: Quantization | None = None,
        saved_model: Path | None = None,
    ) -> None:
        """Write a folder; it is never quantized."""
        from keras_dl_export.formats.saved_model.saved_model_writer import write_saved_model

        write_saved_model(signatures, path)

    def count_operators(self, path: Path, signatures: Mapping[str, Signature]) -> Mapping[str, int]:
        """Count the operators in the graphs of all endpoints."""
        from keras_dl_export.formats.saved_model.saved_model_contents import count_saved_model_operators

        return count_saved_model_operators(signatures)

    def versions(self, path: Path) -> Mapping[str, int | str]:
        """Return the versions of the schema and of TensorFlow."""
        from keras_dl_export.formats.saved_model.saved_model_contents import saved_model_versions

        return saved_model_versions()
