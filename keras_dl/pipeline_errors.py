"""Errors of files that a pipeline reads during training."""

from __future__ import annotations

import re
from typing import Any


def reading_error(error: Any) -> ValueError | None:
    """Return the error of an unreadable file, which TensorFlow embeds in its message; None for other errors.

    Args:
        error: a `tf.errors.OpError`.
    """
    named = re.search(r"ValueError: (source: .*)", error.message)
    return None if named is None else ValueError(named[1])
