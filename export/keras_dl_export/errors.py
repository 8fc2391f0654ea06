"""What can go wrong between a model and its release.

An argument that is wrong in itself (an unknown endpoint, an unbuilt model, inputs of the wrong shape) is a
`ValueError` or a `TypeError`. Everything else is one of these, each a one-paragraph message:

    ExportError
        BackendError      Keras does not run on TensorFlow
        ConversionError   a format cannot express the model; nothing was written
        ParityError       a written file does not give the model's numbers in its own runtime
        ReleaseError      a release folder is missing, half-written, altered or cannot be written
"""

from __future__ import annotations


class ExportError(Exception):
    """Base of every error of the exporter that is not about an argument."""


class BackendError(ExportError):
    """Keras runs on another backend than TensorFlow."""


class ConversionError(ExportError):
    """A format cannot express the model."""


class ParityError(ExportError):
    """A file does not give the model's numbers in its own runtime."""


class ReleaseError(ExportError):
    """A release folder is missing, half-written or altered, or cannot be written."""


def first_line(error: BaseException) -> str:
    """Return what an error says first: frameworks put a traceback of their own under it."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
