"""Write beside, rename into place: nothing half-written is ever seen under its final name."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from keras_dl_export.errors import ReleaseError

_PREFIX = ".staging-"  # TensorFlow Serving passes over folders whose name is no number


@contextlib.contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Give a folder inside `parent` to write into, and remove what was not renamed away from it.

    The folder is locked for as long as its process lives, so that folders which a killed process left behind
    can be told from those in use: they are removed here.

    Raises:
        ReleaseError: `parent` cannot be written to, or not to the end.
    """
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        _remove_abandoned(parent)
        folder, lock = _claim(parent)
    except OSError as error:
        raise ReleaseError(
            f"{parent}: expected a folder that can be written to, got {error.strerror or error}."
        ) from error
    try:
        yield folder
    except OSError as error:  # a full disk, for example
        raise ReleaseError(f"{parent}: writing failed: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        with contextlib.suppress(OSError):  # something was put there
            for created in missing:
                created.rmdir()


def _claim(parent: Path) -> tuple[Path, int]:
    while True:
        folder = parent / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        # Until it is locked, another process may take it for abandoned.
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
