"""Errors of the three packages, and the reason of a framework's error in one line.

A wrong argument (an unknown endpoint, an unbuilt model, inputs of the wrong shape) is a `ValueError` or a
`TypeError`. Everything else is one of these, each with a message of one paragraph:

    KerasDLError
        ExportError           the exporter and the readers of releases
            BackendError      Keras does not run on TensorFlow
            ConversionError   a format cannot express the model; nothing was written
            ParityError       a written file does not reproduce the model's numbers in its own runtime
            AccuracyError     a written file loses more accuracy than allowed
            ReleaseError      a release folder is missing, incomplete, altered or cannot be written
        ServingError          a call of a client (keras_dl_serving.errors): `.message`, `.request`, `.status`
            InvalidRequestError       refused before it was sent: wrong name, shape or dtype; a ValueError
            ConnectionFailedError     the server was not reached, or closed the connection; a ConnectionError
            NotReadyError             `wait_ready` timed out; a TimeoutError
            UnsupportedByServerError  this server, or this protocol, has no such call
            StatusError               the server answered with an error; a subclass for each status code,
                                      such as NotFoundError, a LookupError
        ServerStartError      the server cannot start (keras_dl_serving.errors); a RuntimeError
        ClusterError          workers cannot form a cluster (keras_dl.training); a RuntimeError
        NonFiniteError        a loss became NaN or infinite (keras_dl.callbacks); a FloatingPointError
"""

from __future__ import annotations

import re
import textwrap

_COLORS = re.compile("\x1b\\[[0-9;]*m")
_CALL = re.compile(r"Exception encountered when calling (?P<place>[^\n]+?)\.?\n")
_CALL_ENDS = re.compile(r"\n\s*(?:Call a|A)rguments received by ")
# AutoGraph quotes the calling code, each line after its file; the reason comes last.
_USER_CODE = re.compile(r"in user code:\s*\n")
_RAISED = re.compile(r"^ {4,}(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Warning|Interrupt): ?", re.M)
_IN_GRAPH = re.compile(
    r"Graph execution error:\s*(?:Detected at node .*?(?:<stack traces unavailable>|\n(?=\S)))?", re.S
)
_MLIR = re.compile(r"^[^\n]*?\berror: (?:loc\(.*\): )?(?=\S)", re.M)
_NODE = re.compile(r"'\{\{node ([^}]*)\}\} = (\w+)\[[^']*'")
# Locations in a graph or a C++ file, which do not help a user.
_LOCATIONS = re.compile(
    r"\{\{(?:function_)?node [^}]*\}\} ?|\[\[\{\{node [^}]*\}\}\]\]|\[Op:[^\]]*\](?: name:.*$)?|"
    r"^\S+\.(?:cc|cpp|h|py):\d+(?::\d+)?:? ?|^<unknown>:\d+: |\((?:defined at|at) [^)]*\.py:\d+\)",
    re.M,
)
_LONGEST = 700  # characters of a reason


class KerasDLError(Exception):
    """Base of every error of keras_dl, keras_dl_export and keras_dl_serving that is not about an argument."""


class ExportError(KerasDLError):
    """Base of every error of the exporter that is not about an argument."""


class BackendError(ExportError):
    """Keras runs on a backend other than TensorFlow."""


class ConversionError(ExportError):
    """Error of a model that a format cannot express; nothing was written."""


class ParityError(ExportError):
    """A file does not reproduce the model's numbers in its own runtime."""


class AccuracyError(ExportError):
    """A file loses more accuracy than allowed."""


class ReleaseError(ExportError):
    """A release folder is missing, incomplete or altered, or cannot be written."""


def first_line(error: BaseException) -> str:
    """Return the reason of an error in one line, without the context that frameworks add.

    Keras wraps the reason in the failed call, AutoGraph puts it after the calling code, TensorFlow after a
    stack trace, and the converters after a location in a C++ file. The innermost call is kept.
    """
    said = error.args[0] if type(error) is KeyError and error.args else error  # its str is a repr
    text = _COLORS.sub("", str(said)).strip()
    place = ""
    while True:
        if called := _CALL.match(text):
            place, text = called["place"], _CALL_ENDS.split(text[called.end() :], maxsplit=1)[0]
        elif (quoted := _USER_CODE.match(text)) and (raised := _RAISED.search(text, quoted.end())):
            text = textwrap.dedent("    " + text[raised.end() :])
            if "KeyError" in raised[0]:  # a repr again
                bare = text.strip().strip("'\"").encode("latin-1", "backslashreplace")
                text = _COLORS.sub("", bare.decode("unicode_escape"))
        else:
            break
        text = text.strip()
    reason = _said(_IN_GRAPH.sub("", text, count=1))
    if not reason or isinstance(error, KeyError):
        reason = f"{type(error).__name__} {reason}".strip()
    return f"in {place}: {reason}" if place else reason


def reason_of(error: BaseException) -> str:
    """Return `first_line` as a complete sentence."""
    reason = first_line(error)
    return reason if reason.endswith((".", "!", "?", "...")) else f"{reason}."


def _said(text: str) -> str:
    """Return the first line, and the rest of the paragraph if the line ends with a colon or comma."""
    if blamed := _MLIR.search(text):
        text = text[blamed.end() :]
    cleaned = "\n".join(" ".join(_clean(line).split()) for line in text.splitlines())
    said, _, rest = cleaned.strip().partition("\n")
    while rest.strip() and said.endswith((":", ",")):
        paragraph, _, rest = rest.strip().partition("\n\n")
        said = f"{said} {' '.join(paragraph.split())}"
    said = said.partition(" You can attempt the following resolutions")[0]  # they do not apply to an export
    return textwrap.shorten(said, _LONGEST, placeholder=" ...")


def _clean(line: str) -> str:
    return _LOCATIONS.sub("", _NODE.sub(r"\2 in '\1'", line))
