"""Text as windows of character ids, whose targets are the characters that follow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl.data.reading import read_text
from keras_dl.data.source import Description, Examples, Indices, Source

_UNICODE = 0x110000  # the number of code points
_PIECE = 1 << 22  # characters encoded at a time: the whole text at once would take four bytes per character


def open_text(path: Path, sequence_length: int, encoding: str | None = None) -> Source:
    """Open a text file as a source with the single part `train`; all line ends are read as line feeds.

    Args:
        path: the file; `.gz` is decompressed.
        sequence_length: T.
        encoding: as in `read_text`.

    Raises:
        ValueError: the file is empty, or not a text in that encoding.
    """
    text = read_text(path, encoding).replace("\r\n", "\n").replace("\r", "\n")
    return characters(path.name, {"train": text}, sequence_length)


def characters(name: str, texts: Mapping[str, str], sequence_length: int) -> Source:
    """Open texts, one per part, as non-overlapping windows of T characters; a shorter rest is omitted.

    The vocabulary is the sorted set of the characters of all parts, so that no split has an unknown one. For
    a window c_0 ... c_{T-1} the targets are c_1 ... c_T, both (T,) int32.
    """
    if not any(texts.values()):
        raise ValueError(
            f"source: {name} is empty. Pass a text of more than sequence_length={sequence_length} characters."
        )
    sizes = {part: len(text) for part, text in texts.items()}
    alphabet, ids = _encoded(texts)

    def read(part: str, indices: Indices) -> Examples:
        windows = [_windows(ids[part][run], sequence_length) for run in _runs(indices)]
        joined = windows[0] if len(windows) == 1 else np.concatenate(windows)
        if not len(joined):
            raise ValueError(
                f"sequence_length: expected less than the {len(indices):,} characters of the split of "
                f"{name}, got {sequence_length}: a window also needs the character that follows it. Pass a "
                "shorter sequence_length or a longer split."
            )
        return Examples(joined[:, :-1], joined[:, 1:])

    description = Description(name, num_examples=sizes, vocabulary="".join(chr(code) for code in alphabet))
    return Source(description, read)


def _encoded(texts: Mapping[str, str]) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Return the sorted alphabet, and each text as indices into it, in the smallest dtype that fits."""
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
    """Return the contiguous runs of indices, which a window must not cross."""
    if isinstance(indices, range):
        return [slice(indices.start, indices.stop)]
    pieces = np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1)
    return [slice(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]


def _windows(ids: NDArray[Any], length: int) -> NDArray[Any]:
    """Return (N,) ids as windows ((N-1) // length, length + 1) that overlap by one character."""
    if len(ids) <= length:
        return np.empty((0, length + 1), ids.dtype)
    return np.lib.stride_tricks.sliding_window_view(ids, length + 1)[::length]
