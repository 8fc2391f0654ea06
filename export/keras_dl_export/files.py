"""Atomic writing of files and folders: written under another name, then renamed into place."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keras_dl_export.errors import ReleaseError

_STAGING = ".staging-"  # TensorFlow Serving ignores folders whose name is not a number


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a draft next to `path`, which replaces it when the block ends and is deleted if the block fails.

        with replacing("metrics.json") as draft:
            draft.write_text(...)

    The draft keeps the suffix of `path`, because many writers choose the format by it.

    Raises:
        OSError: the draft cannot be written; the text names `path`.
    """
    path = Path(path)
    draft = path.with_name(f".draft-{path.name}")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())  # otherwise a power cut may leave the new name on an empty file
        draft.replace(path)
    except OSError as error:
        if error.filename not in (None, str(draft)):
            raise
        reason = error.strerror or str(error).partition("\n")[0]
        state = "the previous file is kept. Free disk space, or choose a writable folder."
        if not path.parent.exists():
            state = "its folder does not exist or was removed. Start again, and keep the folder."
        raise OSError(error.errno, f"{path}: cannot be written ({reason}); {state}") from error
    finally:
        with suppress(OSError):  # the error of the block is more important
            draft.unlink(missing_ok=True)


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Yield a staging folder inside `parent`; whatever is not moved out of it is removed at the end.

    The folder is locked while its process lives. Unlocked folders, left behind by killed processes, are
    removed here.

    Raises:
        ReleaseError: `parent` is not writable, or writing fails.
    """
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        _remove_abandoned(parent)
        folder, lock = _claim(parent)
    except OSError as error:
        raise ReleaseError(f"{parent}: expected a writable folder, got {error.strerror or error}.") from error
    try:
        yield folder
    except OSError as error:  # a full disk, for example
        raise ReleaseError(f"{parent}: writing failed: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        with suppress(OSError):  # not empty
            for created in missing:
                created.rmdir()


def move_into_place(draft: Path, target: Path) -> None:
    """Rename a file or folder to `target` and replace an existing one, which is kept on failure.

    Raises:
        OSError: the rename failed.
    """
    if not target.is_dir():
        draft.replace(target)
        return
    # A folder cannot be renamed onto one that is not empty.
    old = target.with_name(f".old-{target.name}")
    target.rename(old)
    try:
        draft.rename(target)
    except OSError:
        old.rename(target)
        raise
    old.unlink() if old.is_symlink() else shutil.rmtree(old)


def sha256(content: bytes | Path) -> str:
    """Return the SHA-256 of bytes, or of a file's content, as hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _claim(parent: Path) -> tuple[Path, int]:
    while True:
        folder = parent / f"{_STAGING}{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        # Until it is locked, another process may regard it as abandoned.
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_STAGING}*"):
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
