"""The releases folder: `<name>/<version>/`, where a version is a whole number."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAX_VERSION = 2**63 - 1
_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt", "model.tflite", "*.onnx", "onnx/*.onnx")


@dataclass(frozen=True)
class VersionFolder:
    """A version of a model on disk.

    Attributes:
        number: the version's number.
        path: its folder.
        stamp: changes with its files, so that a version that failed to load is retried.
        platform: `tensorflow`, `onnx` or `tflite`; empty to choose by its files.
    """

    number: int
    path: Path
    stamp: int
    platform: str = ""


def scan(folder: Path) -> dict[str, list[VersionFolder] | None]:
    """Return all models with their versions, newest first; None for a model whose folder cannot be read.

    Raises:
        OSError: the folder itself is missing or cannot be read.
    """
    found: dict[str, list[VersionFolder] | None] = {}
    for model in _subfolders(folder):
        try:
            if versions := scan_versions(Path(model.path)):
                found[model.name] = versions
        except FileNotFoundError:  # removed just now
            continue
        except OSError:
            found[model.name] = None
    return found


def scan_versions(folder: Path, platform: str = "") -> list[VersionFolder]:
    """Return the versions of one model, newest first.

    Only folders whose name is a number are versions: exporters write under another name, then rename.

    Raises:
        OSError: the folder is missing or cannot be read.
    """
    versions = [
        VersionFolder(int(child.name), Path(child.path), _stamp(Path(child.path)), platform)
        for child in _subfolders(folder)
        if child.name.isascii() and child.name.isdecimal() and int(child.name) <= _MAX_VERSION
    ]
    return sorted(versions, key=lambda version: version.number, reverse=True)


def explain_nothing_found(folder: Path) -> str:
    """Return why a folder has nothing to serve, and the remedy; empty if it has something."""
    if not folder.exists():
        return f"there is no folder {folder}: export a model into it first, or correct the path"
    if not folder.is_dir():
        return f"{folder} is a file: give the folder that holds <name>/<version>/"
    if (folder / "saved_model.pb").exists():
        return f"{folder} is one version of a model: give the folder two levels up, {folder.parent.parent}"
    try:
        if any(child.name.isdecimal() and _stamp(Path(child.path)) for child in _subfolders(folder)):
            return f"{folder} is the folder of one model: give the one above, {folder.parent}"
        if not scan(folder):
            return (
                f"{folder} holds no release: a release is a folder <name>/<version>/ with a saved_model.pb, "
                "*.onnx or model.tflite in it, the version being a whole number"
            )
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror}"
    return ""


def _subfolders(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith(".") and entry.is_dir())


def _stamp(version: Path) -> int:
    """Return when the model files or variables were last written; 0 without a model file."""
    files = [file for pattern in _MODEL_FILES for file in version.glob(pattern)]
    if not files:
        return 0
    return max(_modified(file) for file in [*files, *(version / "variables").glob("*")])


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
