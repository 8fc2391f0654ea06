"""Capture what converters write to standard error, from Python and C++, for the error message."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_LOGGERS = ("absl", "onnxruntime", "tensorflow", "tf2onnx")
_one_at_a_time = threading.RLock()  # the descriptor belongs to the process, not to the thread


class Noise:
    """The output captured while standard error was silenced."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def lines(self) -> list[str]:
        """Return the captured lines."""
        self._file.flush()
        return Path(self._file.name).read_text(errors="replace").splitlines()


@contextlib.contextmanager
def silence() -> Iterator[Noise]:
    """Capture everything that is written to standard error, from Python and from C++."""
    with (
        _one_at_a_time,
        tempfile.NamedTemporaryFile("w", prefix="keras-dl-", suffix=".log") as file,
        _loggers_into(file),
        contextlib.redirect_stderr(file),
        _descriptor_into(file),
    ):
        yield Noise(file)


@contextlib.contextmanager
def _descriptor_into(file: IO[str]) -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # a daemon without standard error
        yield
        return
    try:
        os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _loggers_into(file: IO[str]) -> Iterator[None]:
    """Redirect the converters' loggers to this file: a handler may use another stream than descriptor 2."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    kept = [(logger, logger.handlers, logger.propagate) for logger in loggers]
    try:
        for logger in loggers:
            logger.handlers, logger.propagate = [logging.StreamHandler(file)], False
        yield
    finally:
        for logger, handlers, propagate in kept:
            logger.handlers, logger.propagate = handlers, propagate
        root = logging.getLogger()
        for handler in list(root.handlers):
            # `logging.warning` adds a handler to a root without handlers, which would keep the closed file.
            if getattr(handler, "stream", None) is file:
                root.removeHandler(handler)
