"""A folder of generated files: written completely or not at all, and never over files that were edited."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from keras_dl_export.files import move_into_place, sha256

# In the format of `sha256sum`, so that `sha256sum --check` lists the edited files.
CHECKSUMS = "deploy.sha256"


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write `files`, texts by relative path, into a new folder, or replace an unedited earlier one.

    Raises:
        FileExistsError: `folder` holds other files, or files that were edited.
    """
    if changed := _changed(folder):
        raise FileExistsError(
            f"out: expected a new folder, or one written by this command and unchanged since, got {folder} "
            f"with {', '.join(changed[:3])}{' and others' * (len(changed) > 3)}. Pass another --out, or move "
            "the files to keep out of it and delete it."
        )
    folder = folder.resolve()  # "." has no name for a draft beside it
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".draft-{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)  # left by a run that was killed
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
    """Return the files in `folder` that were added, edited or deleted since it was written."""
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
