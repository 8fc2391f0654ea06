"""Text as windows of character ids, each with the character that follows as its target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl.data.reading import read_text
from keras_dl.data.source import Description, Examples, Indices, Source

_UNICODE = 0x110000  # how many characters there can be
_PIECE = 1 << 22  # characters that are encoded at a time: the text would take four bytes each at once


def open_text(path: Path, sequence_length: int, encoding: str | None = None) -> Source:
    """A text file with the single part `train`; its lines end in a line feed, whatever they end in there.

    Args:
        path: the file, unpacked where its name ends in `.gz`.
        sequence_length: T.
        encoding: as in `read_text`.

    Raises:
        ValueError: it is empty, or no text in that encoding.
    """
    text = read_text(path, encoding).replace("\r\n", "\n").replace("\r", "\n")
    return characters(path.name, {"train": text}, sequence_length)


def characters(name: str, texts: Mapping[str, str], sequence_length: int) -> Source:
    """Texts, one a part, cut into windows of T characters that do not overlap; a shorter rest is left out.

    The vocabulary is the sorted set of all parts' characters: the alphabet, so that no split meets an
    unknown one. For a window c_0 ... c_{T-1} the targets are c_1 ... c_T, both (T,) int32.
    """
    if not any(texts.values()):
        raise ValueError(
            f"source: {name} is empty. Give a text of more than sequence_length={sequence_length} characters."
        )
    sizes = {part: len(text) for part, text in texts.items()}
    alphabet, ids = _encoded(texts)

    def read(part: str, indices: Indices) -> Examples:
        windows = [_windows(ids[part][run], sequence_length) for run in _runs(indices)]
        joined = windows[0] if len(windows) == 1 else np.concatenate(windows)
        if not len(joined):
            raise ValueError(
                f"sequence_length: a window of {sequence_length} characters and the one that follows "
                f"do not fit into {len(indices):,} characters of {name}. Choose a shorter sequence_length or "
                "a longer split."
            )
        return Examples(joined[:, :-1], joined[:, 1:])

    description = Description(name, num_examples=sizes, vocabulary="".join(chr(code) for code in alphabet))
    return Source(description, read)


def _encoded(texts: Mapping[str, str]) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """The alphabet in order, and each text as places in it, of as few bytes as they need."""
    present = np.zeros(_UNICODE, np.bool_)
    for text in texts.values():
        for first in range(0, len(text), _PIECE):
            present[_codes(text, first)] = True
    alphabet = np.flatnonzero(present)
    place = np.zeros(_UNICODE, np.uint16 if len(alphabet) < 2**16 else np.int32)
    place[alphabet] = np.arange(len(alphabet))
    ids = {part: np.empty(len(text), place.dtype) for part, text in texts.items()}
    for part, text in texts.items():
        for first in range(0, len(text), _PIECE):
            ids[part][first : first + _PIECE] = place[_codes(text, first)]
    return alphabet, ids


def _codes(text: str, first: int) -> NDArray[np.uint32]:
    return np.frombuffer(text[first : first + _PIECE].encode("utf-32-le", "surrogatepass"), np.uint32)


def _runs(indices: Indices) -> list[slice]:
    """The stretches without a gap, which a window must not cross."""
    if isinstance(indices, range):
        return [slice(indices.start, indices.stop)]
    pieces = np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1)
    return [slice(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]


def _windows(ids: NDArray[Any], length: int) -> NDArray[Any]:
    """(N,) -> ((N-1) // length, length + 1): each begins with the character that ends the one before."""
    if len(ids) <= length:
        return np.empty((0, length + 1), ids.dtype)
    return np.lib.stride_tricks.sliding_window_view(ids, length + 1)[::length]
