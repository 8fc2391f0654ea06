"""The lock of a run folder, which one training holds at a time."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from keras_dl.callbacks import latest_checkpoint

LOCK = ".training.lock"


@contextmanager
def claimed(folder: Path, resume: bool) -> Iterator[None]:
    """Hold the lock of the run folder within the block, and create the folder if necessary.

    The lock is released when its process ends, so that a killed training can be resumed at once. If the block
    fails before the first checkpoint of a new run, the folder is removed.

    Raises:
        FileExistsError: another training holds the lock, or the folder is not empty and `resume` is False.
        OSError: the folder cannot be created; the message names it.
    """
    new = not _content(folder)
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        _make(folder)
        with _locked(folder):
            check_free(folder, resume)
            try:
                yield
            except BaseException:
                if new and latest_checkpoint(folder / "checkpoints") is None:
                    _clear(folder)
                raise
    finally:
        with suppress(OSError):  # folders that are not empty, and their parents, are kept
            for each in missing:
                each.rmdir()


def check_free(folder: Path, resume: bool) -> None:
    """Check that the folder is empty, unless its run is resumed.

    Raises:
        FileExistsError: the folder is not empty, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"out: expected a folder, but {folder} is a file. Pass another path.")
    if _content(folder) and not resume:
        raise FileExistsError(
            f"out: {folder} is not empty. Pass another folder, or resume the training in it with resume=True "
            "(--resume)."
        )


def check_unused(folder: Path) -> None:
    """Check that no training, including those of this process, holds the lock of the folder.

    Raises:
        FileExistsError: a training holds it.
    """
    try:
        file = (folder / LOCK).open(encoding="utf-8")
    except OSError:  # no lock file, or an unusable folder, for which `claimed` raises an error
        return
    with file:
        _lock(file, folder)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"out: {folder} cannot be created ({error.strerror}). Pass a folder that can be written to."
        raise type(error)(error.errno, reason) from error


def _content(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name != LOCK] if folder.is_dir() else []


def _clear(folder: Path) -> None:
    for path in _content(folder):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    path = folder / LOCK
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            _lock(file, folder)
            if _is_at(file, path):  # not a file that its holder has removed in the meantime
                break
        except BaseException:
            file.close()
            raise
        file.close()
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
    finally:
        path.unlink(missing_ok=True)  # before releasing the lock, so that no other file is removed
        file.close()


def _lock(file: IO[str], folder: Path) -> None:
    if sys.platform == "win32":
        return  # TensorFlow supports Windows only under WSL2
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read() or "another process"
        raise FileExistsError(
            f"out: expected a folder that no other training uses, but {holder} trains in {folder}. Pass "
            "another folder, or wait for the end of that training."
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
            raise  # ignore file systems without locks


def _is_at(file: IO[str], path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
