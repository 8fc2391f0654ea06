"""The opened form of all data: a description, and columns that are read by example index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64] | range  # a range if contiguous: a text has as many as characters
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Description:
    """The description of a data set: what a model needs before the first batch.

    Attributes:
        name: the name of the data set or of its file, or `arrays`.
        num_examples: the number of examples in each split that the data set has (characters, for text).
        image_shape: (H, W, C) of images, else None. H and W are None if the images differ in size.
        num_features: D of tables and 2D arrays, else None.
        class_names: the names of the K classes in the order of the labels, or None without labels.
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
        """The number of classes K, or None without labels."""
        return None if self.class_names is None else len(self.class_names)


@dataclass(frozen=True)
class Examples:
    """Examples as columns.

    Attributes:
        features: (N, H, W, C) uint8 or float32 images, (N,) encoded images or their paths, (N, D) float32
            features, or (N, T) character ids, uint16 if they fit.
        labels: (N,) int32 classes, (N, T) next characters, or None.
    """

    features: NDArray[Any]
    labels: Labels | None

    def take(self, indices: Indices) -> Examples:
        """Return the examples at the indices, in their order."""
        chosen = slice(indices.start, indices.stop) if isinstance(indices, range) else indices
        return Examples(self.features[chosen], None if self.labels is None else self.labels[chosen])


@dataclass(frozen=True)
class Source:
    """An opened data set.

    Attributes:
        description: its description.
        read: `(part, indices)` -> the examples of the part at the indices, in their order.
        strata: part -> the classes of its examples, for stratified splits; None if the classes are not
            available, if the order must be kept (text) or if it is already random (TFDS).
        decode: one stored image (encoded, or its path) -> uint8 (H, W, C); None if the features are pixels.
    """

    description: Description
    read: Callable[[str, Indices], Examples]
    strata: Callable[[str], Labels | None] = lambda part: None
    decode: Callable[[Any], Any] | None = None


def resident(description: Description, parts: Mapping[str, Examples]) -> Source:
    """Return a source whose examples are in memory."""
    return Source(
        description,
        read=lambda part, indices: parts[part].take(indices),
        strata=lambda part: parts[part].labels,
    )


def size_to_read(
    image_shape: tuple[int | None, int | None, int], image_size: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Return (H, W) to which each image is resized as it is read, or None.

    Images of several sizes cannot be batched otherwise, and images larger than requested would waste memory.
    Smaller images of one size are stored unchanged and enlarged batch by batch.
    """
    height, width, _ = image_shape
    if image_size is None or (height, width) == image_size:
        return None
    return None if height and width and height * width <= image_size[0] * image_size[1] else image_size
