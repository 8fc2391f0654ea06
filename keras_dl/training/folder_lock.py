"""A run folder belongs to one training at a time."""

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
    """Hold the run folder within the block, and make it if need be.

    The lock ends with the process that holds it, so that a killed training can be resumed at once. If the
    block fails before the first checkpoint of a new run, nothing of its folder stays.

    Raises:
        FileExistsError: another training holds the folder, or there is something in it and `resume` is False.
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
        with suppress(OSError):  # the first of them that holds something stays, and those above it
            for each in missing:
                each.rmdir()


def check_free(folder: Path, resume: bool) -> None:
    """Refuse a folder that holds something else than the run to go on with.

    Raises:
        FileExistsError: it does, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"out: expected a folder, but {folder} is a file. Choose another path.")
    if _content(folder) and not resume:
        raise FileExistsError(
            f"out: {folder} is not empty. Choose another folder, or go on with the training in it: "
            "resume=True (--resume)."
        )


def check_unused(folder: Path) -> None:
    """Refuse a folder that another training holds, this process's own included.

    Raises:
        FileExistsError: one does.
    """
    try:
        file = (folder / LOCK).open(encoding="utf-8")
    except OSError:  # nothing to hold there, or nothing that can be held: `claimed` says why
        return
    with file:
        _lock(file, folder)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (
            f"out: {folder} cannot be created ({error.strerror}). Choose a folder that can be written to."
        )
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
            if _is_at(file, path):  # and not one that its holder has removed in the meantime
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
        path.unlink(missing_ok=True)  # before the lock ends: nobody else's file is removed
        file.close()


def _lock(file: IO[str], folder: Path) -> None:
    if sys.platform == "win32":
        return  # TensorFlow trains on Windows under WSL2 alone
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read() or "another process"
        raise FileExistsError(
            f"out: expected a folder that no other training uses, but {holder} trains in {folder}. Choose "
            "another folder, or wait until that training has ended."
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
            raise  # a file system without locks is used as ever


def _is_at(file: IO[str], path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
