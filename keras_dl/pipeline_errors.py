"""Errors of files that a pipeline reads while a model is trained."""

from __future__ import annotations

import re
from typing import Any


def reading_error(error: Any) -> ValueError | None:
    """The error of a file that could not be read, which TensorFlow hands on as a part of a text; else None.

    Args:
        error: a `tf.errors.OpError`.
    """
    named = re.search(r"ValueError: (source: .*)", error.message)
    return None if named is None else ValueError(named[1])
