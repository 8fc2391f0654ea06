"""Warnings about data that may be read differently than expected."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parents[1])


class DataWarning(UserWarning):
    """A warning about data that may be read differently than intended, such as skipped files.

    `warnings.simplefilter("error", keras_dl.data.DataWarning)` turns these warnings into errors, and
    `"ignore"` silences them.
    """


def notify(message: str) -> None:
    """Warn once for each line of the caller's code, the first frame outside this package."""
    level = 2
    while (frame := _frame(level)) is not None and frame.startswith(_PACKAGE):
        level += 1
    warnings.warn(message, DataWarning, stacklevel=level)


def listed(names: list[str], *, at_most: int = 5) -> str:
    """Return the first names and the number of the others, as in `a, b, c and 4 more`."""
    rest = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {rest:,} more" if rest > 0 else "")


def _frame(level: int) -> str | None:
    try:
        return sys._getframe(level).f_code.co_filename
    except ValueError:
        return None
