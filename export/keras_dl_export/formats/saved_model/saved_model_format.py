"""SavedModel as a `Format`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keras_dl_export.format import Format
from keras_dl_export.runner import Runner


class SavedModelFormat(Format):
    """SavedModel: a folder with one signature an endpoint; a release is one itself."""

    name = "saved_model"
    threads_of_process = True

    def recognizes(self, path: Path) -> bool:
        """Tell whether `path` is a folder."""
        return path.is_dir()

    def open(self, path: Path, threads: int | None) -> Mapping[str, Runner]:
        """Load a SavedModel; its threads are those of TensorFlow in this process."""
        from keras_dl_export.formats.saved_model.saved_model_runner import open_saved_model

        return open_saved_model(path)
