"""TensorFlow Serving's configuration files: messages in protobuf's text format."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from keras_dl_serving.errors import InvalidArgumentError

File = TypeVar("File", bound=Message)


def read_file(path: Path, kind: type[File]) -> File:
    """Return the message in a configuration file.

    Raises:
        InvalidArgumentError: it cannot be read, or is not a text proto of this kind.
    """
    try:
        return text_format.Parse(path.read_text(), kind())
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error.strerror}") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(
            f"Error parsing text-format tensorflow.serving.{kind.DESCRIPTOR.name}: {path}: {error}"
        ) from None
