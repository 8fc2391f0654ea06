"""The inputs of `keras-dl query`: arrays from JSON, files and standard input."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_dl_export.names import by_word

if TYPE_CHECKING:
    from keras_dl.serving import Signature, TensorSpec

_NPY = b"\x93NUMPY"
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\x00", b"MM\x00*")


def read_inputs(words: Sequence[str], signature: Signature) -> dict[str, Any]:
    """Return the inputs in arguments of the command line.

    Args:
        words: `NAME=VALUE`, or only VALUE for a model with one input. A value is JSON, a file (an image,
            `.npy`, JSON) or `-` for one of these from standard input. JSON objects contain inputs by name.
            Values of the same input are concatenated to one batch.
        signature: the signature of the model.

    Raises:
        ValueError: a value is malformed, or lacks a required name.
    """
    found: dict[str, list[Any]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        (name,) = by_word({name: text}, signature.inputs)  # the name of an input may be `my-x`
        if not equals or not (name.isidentifier() or name in signature.inputs):
            name, text = "", word
        content = _content(text)
        if not name:
            parsed = _json(content)
            if isinstance(parsed, dict):
                for key, value in parsed.items():
                    found.setdefault(key, []).append(value)
                continue
            if len(signature.inputs) != 1:
                raise ValueError(
                    f"--input: expected NAME=VALUE, because the model has the inputs "
                    f"{', '.join(map(repr, signature.inputs))}, got {word!r}."
                )
            name = next(iter(signature.inputs))
        found.setdefault(name, []).append(_value(content, text, name, signature.inputs.get(name)))
    return {
        name: values[0] if len(values) == 1 else _concatenated(name, values) for name, values in found.items()
    }


def _content(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(text).read_bytes()
    except (OSError, ValueError):  # not a file: the value itself
        return text.encode("utf-8", "surrogateescape")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _value(content: bytes, text: str, name: str, spec: TensorSpec | None) -> Any:
    if content.startswith(_NPY):
        return np.load(io.BytesIO(content), allow_pickle=False)
    if content.startswith(_IMAGES):
        return _image(content, spec)
    try:
        return json.loads(content)
    except ValueError as error:
        what = f"a file with other content ({error})"
        if text != "-" and content == text.encode("utf-8", "surrogateescape"):
            what = f"{text!r} ({error})"
        raise ValueError(
            f"--input: expected JSON, or the path of an image, .npy or JSON file, for {name!r}, got {what}."
        ) from None


def _image(content: bytes, spec: TensorSpec | None) -> Any:
    """Return a batch of one image, in the shape of the input; encoded if the input is a string."""
    if spec is None or spec.dtype == "string":
        value = np.empty(1, object)
        value[0] = content
        return value[0] if spec is not None and spec.shape == () else value
    from PIL import Image

    rows, columns, channels = (*(spec.shape or ())[1:], 0, 0, 0)[:3]
    if len(spec.shape or ()) not in (0, 3, 4):
        raise ValueError(
            f"--input: expected an array or JSON for the input {spec}, got an image. Pass an .npy file."
        )
    if spec.shape is None:
        channels = 3
    image = Image.open(io.BytesIO(content)).convert("L" if channels in (0, 1) else "RGB")
    if rows and columns and image.size != (columns, rows):
        image = image.resize((columns, rows), Image.Resampling.BILINEAR)
    array = np.asarray(image)[None]
    if channels == 1:
        array = array[..., None]
    # [0, 1] as in keras_dl.data; models with other ranges are queried with .npy files.
    return array.astype(np.float32) / 255 if spec.dtype.startswith(("float", "bfloat")) else array


def _concatenated(name: str, values: list[Any]) -> Any:
    try:
        return np.concatenate([np.asarray(value) for value in values])
    except ValueError as error:
        raise ValueError(
            f"--input: expected values of the same shape for {name!r}, got different ones ({error}). Query "
            "them one by one."
        ) from None
