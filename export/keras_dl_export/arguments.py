"""Checks of arguments: each returns the value, or raises an error that names the argument."""

from __future__ import annotations

import difflib
import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_LONGEST = 255  # bytes of a file's name, on nearly every file system


def as_path(argument: str, value: Any, example: str) -> Path:
    """Return `value` as a path that the file system accepts.

    Args:
        argument: the argument's name.
        value: a str or a PathLike.
        example: a valid path, for the error.

    Raises:
        TypeError: `value` is neither a str nor a PathLike.
        ValueError: the path is empty, holds a NUL, or has a name that is too long for a file.
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
            f"{text[:40]!r}... Use a shorter name."
        )
    return path


def check_int(argument: str, value: Any, least: int = 1) -> int:
    """Return `value` as an int, if it is a whole number of at least `least`, Python's or NumPy's.

    Args:
        argument: the argument's name.
        value: what was passed.
        least: the smallest valid value.

    Raises:
        ValueError: `value` is below `least`, a bool, or not a whole number.
    """
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(
            f"{argument}: expected an int of at least {least}, got {value!r}. Pass {least} or more."
        )
    return number


def did_you_mean(name: str, known: Iterable[str], most: int = 3) -> str:
    """Return a question such as " Did you mean 'cnn-digits'?" for a misspelled name, or an empty string.

    Case and surrounding spaces do not count.

    Args:
        name: what was passed.
        known: the valid names.
        most: how many of them the question offers.
    """
    by_word = {each.lower().strip(): each for each in reversed(list(known))}
    close = difflib.get_close_matches(name.lower().strip(), by_word, n=most)
    return f" Did you mean {' or '.join(repr(by_word[each]) for each in close)}?" if close else ""
