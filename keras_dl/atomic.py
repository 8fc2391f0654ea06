"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A draft beside `path`, which takes its place when the block ends and vanishes when it fails.

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
        state = (
            "what was there before is kept. Make room on its disk, or choose a folder that can be written to."
        )
        if not path.parent.exists():
            state = "its folder does not exist, or not any more. Begin anew, and leave the folder in place."
        raise OSError(error.errno, f"{path}: cannot be written ({reason}); {state}") from error
    finally:
        with suppress(OSError):  # the reason why the block failed counts
            draft.unlink(missing_ok=True)
