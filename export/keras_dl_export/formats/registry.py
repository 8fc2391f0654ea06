"""The formats of releases. A new format is a folder next to this file and a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from keras_dl_export.errors import ExportError, first_line
from keras_dl_export.format import Format
from keras_dl_export.formats.onnx.onnx_format import OnnxFormat
from keras_dl_export.formats.saved_model.saved_model_format import SavedModelFormat
from keras_dl_export.formats.tflite.tflite_format import TFLiteFormat
from keras_dl_export.runner import Runner

FORMATS: tuple[Format, ...] = (
    SavedModelFormat(),
    TFLiteFormat(),
    OnnxFormat(),
)


def formats_named(names: Iterable[str]) -> list[Format]:
    """Return the formats with these names, in the order of `FORMATS`.

    Raises:
        ValueError: an unknown name.
    """
    wanted = list(names)
    for name in wanted:
        if name not in format_names():
            raise ValueError(f"formats: expected any of {', '.join(format_names())}, got {name!r}.")
    return [format for format in FORMATS if format.name in wanted]


def format_names() -> tuple[str, ...]:
    """Return the names of all formats."""
    return tuple(format.name for format in FORMATS)


def format_of(path: Path) -> str:
    """Return the name of a file's format by its content; an unrecognized file is treated as ONNX."""
    return next((format.name for format in FORMATS if format.recognizes(path)), OnnxFormat.name)


def open_runners(path: Path, format: str, threads: int | None = None) -> dict[str, Runner]:
    """Load a file once and return a runner for each endpoint in it.

    Args:
        path: the file or folder.
        format: its format.
        threads: the number of threads of an operator; by default the runtime chooses.

    Raises:
        ValueError: `threads` is not positive, or given for a SavedModel.
        ExportError: the file's own runtime cannot load it.
    """
    (opened,) = formats_named([format])
    if threads is not None and (threads < 1 or opened.threads_of_process):
        raise ValueError(
            f"threads: expected None for a SavedModel, at least 1 for others, got {threads!r} for {format}. "
            "Set TensorFlow's threads with tf.config.threading before its first use."
        )
    try:
        return dict(opened.open(path, threads))
    except Exception as error:
        raise ExportError(f"{path}: the {format} runtime cannot load it: {first_line(error)}") from error
