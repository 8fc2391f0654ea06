"""Arguments that several functions take, checked before any work is done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_LONGEST = 255  # bytes of a file's name, on nearly every file system


def as_path(argument: str, value: Any, example: str) -> Path:
    """Return a path that the file system may have.

    Args:
        argument: what the error calls it.
        value: a str or a PathLike.
        example: a good one.

    Raises:
        TypeError: it is neither.
        ValueError: it is empty, or no file can be called so.
    """
    try:
        text = os.fspath(value)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise TypeError(f"{argument}: expected a path such as {example!r}, got {value!r:.80}.")
    path = Path(text)
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if not text.strip() or "\0" in text:
        raise ValueError(f"{argument}: expected a path such as {example!r}, got {text!r:.80}.")
    if longest > _LONGEST:
        raise ValueError(
            f"{argument}: expected names of at most {_LONGEST} bytes in the path, got one of {longest}: "
            f"{text[:40]!r}... Take a shorter name."
        )
    return path
