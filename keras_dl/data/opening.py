"""Selection of the function that opens a source: arrays, a name, or a path."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_dl.data.arrays import open_arrays, open_parts
from keras_dl.data.columnar import columns_of, open_mapping, read_arrays, read_parquet
from keras_dl.data.digits import open_digits
from keras_dl.data.folder import OnCorrupt, open_folder
from keras_dl.data.source import Source
from keras_dl.data.table import Columns, open_columns, open_csv
from keras_dl.data.text import open_text
from keras_dl.data.tfds import open_tfds
from keras_dl_export.arguments import check_int

_CSV = (".csv", ".tsv", ".tab")
_FILES = (*_CSV, ".txt", ".npy", ".npz", ".parquet")
_CONVERT = "Save it as a CSV file, or load it yourself and pass arrays (x, y)."
_UNPACK = "Unpack it and pass the folder or file in it."
_IMAGE = "Pass the folder of the images, with one subfolder per class."
_REMEDIES = {
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".feather", ".arrow", ".orc", ".avro"), _CONVERT),
    **dict.fromkeys(
        (".h5", ".hdf5", ".mat", ".pkl", ".pickle", ".bin", ".tfrecord", ".db", ".sqlite"), _CONVERT
    ),
    **dict.fromkeys(
        (".json", ".jsonl", ".ndjson", ".geojson", ".ipynb"),
        f"{_CONVERT} To train on its characters, copy it to a .txt file.",
    ),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".rar", ".7z", ".bz2", ".xz", ".zst"), _UNPACK),
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".heic"), _IMAGE),
    **dict.fromkeys((".pdf", ".docx", ".doc", ".epub"), "Save its text as a .txt file."),
}

SourceLike = str | os.PathLike[str] | ArrayLike | tuple[ArrayLike, ArrayLike]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The arguments of `load` that determine how a source is read."""

    image_size: tuple[int, int] | None = None
    sequence_length: int = 1
    labels: bool = True
    label_column: str | None = "label"
    separator: str | None = None
    encoding: str | None = None
    drop: str | Sequence[str] = ()
    max_classes: int | None = None
    on_corrupt: OnCorrupt = "raise"
    data_dir: str | os.PathLike[str] | None = None


def open_source(source: SourceLike, options: Options) -> Source:
    """Open the source.

    Raises:
        ValueError: the source or an option is invalid.
        LookupError: there is no such data set, file or folder.
        ConnectionError: the data set is neither prepared nor downloadable.
    """
    _check_options(options)
    if not isinstance(source, str | os.PathLike):
        return _open_object(source, options)
    if source == "digits":
        _refuse_unused(options, "digits", "drop", "separator", "encoding")
        return open_digits()
    path = Path(source).expanduser()
    is_path = isinstance(source, os.PathLike) or path.suffix or len(path.parts) > 1 or source.endswith(os.sep)
    if not (is_path and path.exists()):
        if isinstance(source, os.PathLike) or _suffix(path) in _FILES:
            raise FileNotFoundError(
                f"source: there is no file or folder {path}. Pass the path of an existing one."
            )
        try:
            opened = open_tfds(
                str(source),
                data_dir=None if options.data_dir is None else os.fspath(options.data_dir),
                image_size=options.image_size,
                sequence_length=options.sequence_length,
            )
        except LookupError:
            if not (source and path.exists()):
                raise
        else:
            _refuse_unused(options, str(source), "drop", "separator", "encoding")
            return opened
    return _open_path(path, options)


def _open_object(source: Any, options: Options, name: str = "arrays") -> Source:
    if isinstance(source, Mapping):
        opened = open_mapping(source, name=name, max_classes=options.max_classes)
        return _open_table(opened, options) if isinstance(opened, Columns) else opened
    if (columns := columns_of(source)) is not None:
        return _open_table(columns, options)
    _refuse_unused(options, name, "drop", "separator", "encoding")
    if isinstance(source, tuple) and len(source) == 2 and all(_is_pair(part) for part in source):
        train, test = source  # as keras.datasets returns them
        return open_parts({"train": train, "test": test}, name=name, max_classes=options.max_classes)
    x, y = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    return open_arrays(x, y, name=name, max_classes=options.max_classes)


def _open_path(path: Path, options: Options) -> Source:
    suffix = _suffix(path)
    if path.is_dir():
        _refuse_unused(options, str(path), "drop", "separator", "encoding")
        return open_folder(path, options.image_size, labels=options.labels, on_corrupt=options.on_corrupt)
    if suffix in _CSV:
        return open_csv(
            path,
            options.label_column,
            labels=options.labels,
            separator=options.separator,
            encoding=options.encoding,
            drop=options.drop,
            max_classes=options.max_classes,
        )
    _refuse_unused(options, str(path), "separator")
    if suffix in (".npy", ".npz"):
        return _open_object(read_arrays(path), options, path.name)
    if suffix in (".parquet", ".pq"):
        return _open_table(read_parquet(path), options)
    _refuse_unused(options, str(path), "drop")
    if suffix in _REMEDIES:
        raise ValueError(
            f"source: expected a plain text, a table or a folder of images, got {path}. {_REMEDIES[suffix]}"
        )
    return open_text(path, options.sequence_length, options.encoding)


def _open_table(columns: Columns, options: Options) -> Source:
    _refuse_unused(options, columns.name, "separator", "encoding")
    return open_columns(
        columns,
        options.label_column,
        labels=options.labels,
        drop=options.drop,
        max_classes=options.max_classes,
    )


def _refuse_unused(options: Options, name: str, *arguments: str) -> None:
    """Raise `ValueError` for an argument that does not apply to this kind of data."""
    uses = {"drop": "columns", "separator": "separated cells", "encoding": "encoded text"}
    for argument in arguments:
        if (value := getattr(options, argument)) not in (None, ()):
            raise ValueError(
                f"{argument}: expected none, because {name} has no {uses[argument]}, got {value!r}. Omit "
                f"{argument}."
            )


def _check_options(options: Options) -> None:
    if options.on_corrupt not in ("raise", "skip"):
        raise ValueError(
            f"on_corrupt: expected 'raise' or 'skip', got {options.on_corrupt!r}. Pass one of the two."
        )
    if options.max_classes is not None:
        check_int("max_classes", options.max_classes)
    if not isinstance(options.label_column, str | None):
        raise ValueError(
            f"label_column: expected the name of a column, got {options.label_column!r}. Pass a name from "
            "the first line of the table."
        )
    drop = options.drop
    if not isinstance(drop, list | tuple | str) or not all(isinstance(name, str) for name in drop):
        raise ValueError(
            f"drop: expected the name of a column or a list of names, got {drop!r}. Pass drop=['id']."
        )


def _is_pair(part: Any) -> bool:
    """Return whether `part` is a pair (x, y) rather than one array."""
    return isinstance(part, tuple) and len(part) == 2 and np.ndim(part[0]) > 1


def _suffix(path: Path) -> str:
    """Return the last suffix in lower case, ignoring `.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix
