"""What every kind of data is opened into: a description, and columns that can be read by example index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64] | range  # a range where they are one: a text has as many as characters
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Description:
    """What a data set holds, as far as a model and a reader must know it before the first batch.

    Attributes:
        name: the data set's name, or its file name, or `arrays`.
        num_examples: examples of each split that the set itself has (characters, for text).
        image_shape: (H, W, C) of images, else None. A size that differs from image to image is None.
        num_features: D of tables and 2-D arrays, else None.
        class_names: the K classes' names in the order of the labels, or None without labels.
        vocabulary: the characters of a text in the order of their ids, else None.
    """

    name: str
    num_examples: Mapping[str, int]
    image_shape: tuple[int | None, int | None, int] | None = None
    num_features: int | None = None
    class_names: tuple[str, ...] | None = None
    vocabulary: str | None = None

    @property
    def num_classes(self) -> int | None:
        """K, or None without labels."""
        return None if self.class_names is None else len(self.class_names)


@dataclass(frozen=True)
class Examples:
    """Some examples, column by column.

    Attributes:
        features: (N, H, W, C) uint8 or float32 images, (N,) encoded images or their paths, (N, D) float32
            features, or (N, T) characters, uint16 where they fit.
        labels: (N,) int32 classes, (N, T) next characters, or None.
    """

    features: NDArray[Any]
    labels: Labels | None

    def take(self, indices: Indices) -> Examples:
        """Those examples, in that order."""
        chosen = slice(indices.start, indices.stop) if isinstance(indices, range) else indices
        return Examples(self.features[chosen], None if self.labels is None else self.labels[chosen])


@dataclass(frozen=True)
class Source:
    """One opened data set.

    Attributes:
        description: what it holds.
        read: `(part, indices)` -> those examples of that part, in the order of the indices.
        strata: the classes of a part's examples where they are at hand, so that a split can be stratified.
            None where the stored order must be kept in runs (text) or is random already (TFDS).
        decode: one stored image (encoded, or its path) -> uint8 (H, W, C); None where features are pixels.
    """

    description: Description
    read: Callable[[str, Indices], Examples]
    strata: Callable[[str], Labels | None] = lambda part: None
    decode: Callable[[Any], Any] | None = None


def resident(description: Description, parts: Mapping[str, Examples]) -> Source:
    """A source whose examples are in memory."""
    return Source(
        description,
        read=lambda part, indices: parts[part].take(indices),
        strata=lambda part: parts[part].labels,
    )


def size_to_read(
    image_shape: tuple[int | None, int | None, int], image_size: tuple[int, int] | None
) -> tuple[int, int] | None:
    """(H, W) that each image is resized to as it is read, or None.

    Images of several sizes would not batch otherwise, and what is larger than asked for would fill the
    memory. Smaller images of one size are kept as they are, and enlarged a batch at a time.
    """
    height, width, _ = image_shape
    if image_size is None or (height, width) == image_size:
        return None
    return None if height and width and height * width <= image_size[0] * image_size[1] else image_size
