"""Text as windows of character ids, each with the character that follows as its target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_dl.data.source import Description, Examples, Indices, Source


def open_text(path: Path, sequence_length: int) -> Source:
    """A UTF-8 text file with the single part `train`."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"source: {path} is not a text in UTF-8 ({error.reason} at byte {error.start}). Expected a "
            "folder of images, a .csv or a UTF-8 text file: convert it, or load it yourself and pass arrays."
        ) from None
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
    codes = {part: np.frombuffer(text.encode("utf-32-le"), np.uint32) for part, text in texts.items()}
    alphabet = np.unique(np.concatenate(list(codes.values())))
    ids = {part: np.searchsorted(alphabet, code).astype(np.int32) for part, code in codes.items()}

    def read(part: str, indices: Indices) -> Examples:
        runs = np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1)  # a window must not cross a gap
        windows = np.concatenate([_windows(ids[part][run], sequence_length) for run in runs])
        if not len(windows):
            raise ValueError(
                f"sequence_length: a window of {sequence_length} characters and the one that follows "
                f"do not fit into {len(indices):,} characters of {name}. Choose a shorter sequence_length or "
                "a longer split."
            )
        return Examples(windows[:, :-1], windows[:, 1:])

    description = Description(
        name,
        num_examples={part: len(text) for part, text in texts.items()},
        vocabulary="".join(chr(code) for code in alphabet),
    )
    return Source(description, read)


def _windows(ids: NDArray[np.int32], length: int) -> NDArray[np.int32]:
    """(N,) -> ((N-1) // length, length + 1): each begins with the character that ends the one before."""
    if len(ids) <= length:
        return np.empty((0, length + 1), np.int32)
    return np.lib.stride_tricks.sliding_window_view(ids, length + 1)[::length]
