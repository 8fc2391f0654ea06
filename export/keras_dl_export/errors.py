"""What can go wrong between a model and its release.

An argument that is wrong in itself (an unknown endpoint, an unbuilt model, inputs of the wrong shape) is a
`ValueError` or a `TypeError`. Everything else is one of these, each a one-paragraph message:

    ExportError
        BackendError      Keras does not run on TensorFlow
        ConversionError   a format cannot express the model; nothing was written
        ParityError       a written file does not give the model's numbers in its own runtime
        AccuracyError     a written file is right less often than its model, by more than was allowed
        ReleaseError      a release folder is missing, half-written, altered or cannot be written
"""

from __future__ import annotations

import re

_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_KERAS_CALL = re.compile(r"Exception encountered when calling (\w+\.call\(\))\.")


class ExportError(Exception):
    """Base of every error of the exporter that is not about an argument."""


class BackendError(ExportError):
    """Keras runs on another backend than TensorFlow."""


class ConversionError(ExportError):
    """A format cannot express the model."""


class ParityError(ExportError):
    """A file does not give the model's numbers in its own runtime."""


class AccuracyError(ExportError):
    """A file loses more accuracy than was allowed."""


class ReleaseError(ExportError):
    """A release folder is missing, half-written or altered, or cannot be written."""


def first_line(error: BaseException) -> str:
    """Return what an error says first: frameworks put a traceback of their own under it."""
    lines = [line for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()] or [
        type(error).__name__
    ]
    called = _KERAS_CALL.fullmatch(lines[0])
    return f"in {called[1]}: {lines[1]}" if called and len(lines) > 1 else lines[0].strip()
