"""Warnings about data: what was read otherwise than one may expect."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parents[1])


class DataWarning(UserWarning):
    """Data that can be read, but perhaps not as intended: files passed over, an index among the features.

    `warnings.simplefilter("error", keras_dl.data.DataWarning)` turns each of them into an error, and
    `"ignore"` silences them.
    """


def notify(message: str) -> None:
    """Warn once for each line of the caller's own code, which is the first frame outside this package."""
    level = 2
    while (frame := _frame(level)) is not None and frame.startswith(_PACKAGE):
        level += 1
    warnings.warn(message, DataWarning, stacklevel=level)


def listed(names: list[str], *, at_most: int = 5) -> str:
    """`a, b, c and 4 more`."""
    rest = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {rest:,} more" if rest > 0 else "")


def _frame(level: int) -> str | None:
    try:
        return sys._getframe(level).f_code.co_filename
    except ValueError:
        return None
