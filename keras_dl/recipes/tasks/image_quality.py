"""Images of batches, and the quality of generated images, for all generative tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl.metrics import SampleQuality, sample_quality
from keras_dl.recipes.recipe import Splits

Images = NDArray[np.float32]

_AT_ONCE = 500  # images generated together
_JUDGED = 10_000  # the largest number of generated images that is evaluated


def images_of(batches: Any, count: int | None = None) -> Images:
    """Return the first `count` images, or all, of batches with or without labels."""
    found: list[Images] = []
    for batch in batches.as_numpy_iterator():
        found.append(batch[0] if isinstance(batch, tuple) else batch)
        if count is not None and sum(map(len, found)) >= count:
            break
    return np.concatenate(found)[:count]


def quality(generate: Callable[[int, int], Any], splits: Splits) -> SampleQuality | None:
    """Return the quality of generated images for MNIST, and None for other data.

    Args:
        generate: (count, seed) -> images.
        splits: the data the model was trained on.
    """
    if splits.description.name != "mnist" or splits.description.image_shape != (28, 28, 1):
        return None
    test = images_of(splits.test)
    train = images_of(splits.train_in_order(), min(_JUDGED, len(test)))
    return sample_quality(generate_many(generate, len(train)), train, test)


def generate_many(generate: Callable[[int, int], Any], count: int) -> Images:
    """Generate `count` images in batches that fit into memory."""
    sizes = [min(_AT_ONCE, count - start) for start in range(0, count, _AT_ONCE)]
    return np.concatenate([np.asarray(generate(size, seed)) for seed, size in enumerate(sizes)])
