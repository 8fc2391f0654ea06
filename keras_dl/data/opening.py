"""Which function opens a source: arrays, a name, or a path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import ArrayLike

from keras_dl.data.arrays import open_arrays
from keras_dl.data.digits import open_digits
from keras_dl.data.folder import OnCorrupt, open_folder
from keras_dl.data.source import Source
from keras_dl.data.table import open_csv
from keras_dl.data.text import open_text
from keras_dl.data.tfds import open_tfds

SourceLike = str | os.PathLike[str] | ArrayLike | tuple[ArrayLike, ArrayLike]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a source is read: the arguments of `load` that one kind of data or another needs."""

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
    """The source, opened.

    Raises:
        ValueError: it, or an option, is not what it must be.
        LookupError: there is no such data set, file or folder.
        ConnectionError: the data set is neither prepared nor downloadable.
    """
    if options.on_corrupt not in ("raise", "skip"):
        raise ValueError(
            f"on_corrupt: expected 'raise' or 'skip', got {options.on_corrupt!r}. Pass one of the two."
        )
    if not isinstance(source, str | os.PathLike):
        return open_arrays(*source) if isinstance(source, tuple) and len(source) == 2 else open_arrays(source)
    if source == "digits":
        return open_digits()
    path = Path(source).expanduser()
    is_path = isinstance(source, os.PathLike) or path.suffix or len(path.parts) > 1 or source.endswith(os.sep)
    if not (is_path and path.exists()):
        if isinstance(source, os.PathLike) or path.suffix in (".csv", ".tsv", ".txt"):
            raise FileNotFoundError(
                f"source: there is no file or folder {path}. Give the path of one that exists."
            )
        try:
            return open_tfds(
                str(source),
                data_dir=None if options.data_dir is None else os.fspath(options.data_dir),
                image_size=options.image_size,
                sequence_length=options.sequence_length,
            )
        except LookupError:
            if not (source and path.exists()):
                raise
    return _open_path(path, options)


def _open_path(path: Path, options: Options) -> Source:
    if path.is_dir():
        return open_folder(path, options.image_size, labels=options.labels, on_corrupt=options.on_corrupt)
    if path.suffix.lower() in (".csv", ".tsv"):
        return open_csv(path, options.label_column, options.labels)
    return open_text(path, options.sequence_length)
