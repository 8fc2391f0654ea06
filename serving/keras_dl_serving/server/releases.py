"""The releases folder: `<name>/<version>/`, a version being a whole number."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAX_VERSION = 2**63 - 1


@dataclass(frozen=True)
class VersionFolder:
    """One version of a model on disk.

    Attributes:
        number: the version.
        path: its folder.
        stamp: changes when its files are written to, so that a version that failed to load is tried again.
    """

    number: int
    path: Path
    stamp: int


def scan(folder: Path) -> dict[str, list[VersionFolder]]:
    """All models with their versions, newest first; empty where there is nothing, or no such folder.

    Only folders whose name is a number are versions: exporters write beside them under another name, then
    rename.
    """
    found = {}
    for model in _subfolders(folder):
        versions = [
            VersionFolder(int(child.name), Path(child.path), _stamp(Path(child.path)))
            for child in _subfolders(model.path)
            if child.name.isascii() and child.name.isdecimal() and int(child.name) <= _MAX_VERSION
        ]
        if versions:
            found[model.name] = sorted(versions, key=lambda version: version.number, reverse=True)
    return found


def explain_nothing_found(folder: Path) -> str:
    """Why a folder has nothing to serve, and what to do; empty where it has something."""
    if not folder.exists():
        return f"there is no folder {folder}: export a model into it first, or correct the path"
    if not folder.is_dir():
        return f"{folder} is a file: give the folder that holds <name>/<version>/"
    if (folder / "saved_model.pb").exists():
        return f"{folder} is one version of a model: give the folder two levels up, {folder.parent.parent}"
    if any(child.name.isdecimal() and _stamp(Path(child.path)) for child in _subfolders(folder)):
        return f"{folder} is the folder of one model: give the one above, {folder.parent}"
    if not scan(folder):
        return (
            f"{folder} holds no release: a release is a folder <name>/<version>/ with a saved_model.pb in "
            "it, the version being a whole number"
        )
    return ""


def _subfolders(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return  # gone meanwhile


def _stamp(version: Path) -> int:
    """When the model file or the variables were last written to; 0 without a model file."""
    files = [version / "saved_model.pb", version / "saved_model.pbtxt"]
    if not any(file.exists() for file in files):
        return 0
    return max(_modified(file) for file in [*files, *(version / "variables").glob("*")])


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
