"""A folder of generated files: there whole or not at all, and never written over what somebody changed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from keras_dl_export.files import move_into_place, sha256

# In the format of `sha256sum`, so that `sha256sum --check` says what was edited.
CHECKSUMS = "deploy.sha256"


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write `files`, texts by relative path, into a new folder, or in place of an untouched earlier one.

    Raises:
        FileExistsError: `folder` holds anything else than such files as they were written.
    """
    if changed := _changed(folder):
        raise FileExistsError(
            f"out: expected a new folder, or one written by this command and unchanged since, got {folder} "
            f"with {', '.join(changed[:3])}{' and others' * (len(changed) > 3)}. Give another --out, or move "
            "what you want to keep out of it and delete it."
        )
    folder = folder.resolve()  # "." has no name to draft beside
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".draft-{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)  # of a run that was killed
    try:
        for path, text in {**files, CHECKSUMS: _checksums(files)}.items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(text, encoding="utf-8", newline="\n")
        move_into_place(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _checksums(files: Mapping[str, str]) -> str:
    return "".join(f"{sha256(text.encode())}  {path}\n" for path, text in sorted(files.items()))


def _changed(folder: Path) -> list[str]:
    """What in `folder` was not written here, or was edited, or deleted, since."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        return ["a file in its place"]
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    checksums = found.pop(CHECKSUMS, None)
    lines = checksums.read_text().splitlines() if checksums else []
    written = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    return sorted(
        path for path in {*found, *written} if path not in found or written.get(path) != sha256(found[path])
    )
