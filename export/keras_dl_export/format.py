"""The interface of a file format: how its files are recognized, opened and written."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from keras_dl_export.runner import Runner


class Format(Protocol):
    """A file format, one object in `formats.registry.FORMATS`.

    A format's own class imports nothing heavy: its methods import the runtime, or the writer, when they are
    called, so that a reader of one format needs no other one, and no TensorFlow.

    Attributes:
        name: what `formats=` and `release.json` call it.
        threads_of_process: whether its runtime has one number of threads for the whole process.
    """

    name: str
    threads_of_process: bool = False

    @abstractmethod
    def recognizes(self, path: Path) -> bool:
        """Tell by its content whether a file or folder is of this format."""

    @abstractmethod
    def open(self, path: Path, threads: int | None) -> Mapping[str, Runner]:
        """Load a file once and return a runner for each endpoint in it.

        Args:
            path: the file or folder.
            threads: how many threads may share an operator; by default the runtime chooses.
        """
