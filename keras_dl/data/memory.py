"""Bounds of images by the memory of the machine: those kept decoded, and those of a batch."""

from __future__ import annotations

import os

from keras_dl.data.notices import notify
from keras_dl.data.source import Description, size_to_read


def fits_into_memory(description: Description, num_examples: int, image_size: tuple[int, int] | None) -> bool:
    """Return whether the decoded images take at most a quarter of the machine's memory."""
    height, width, channels = description.image_shape or (0, 0, 0)
    height, width = size_to_read((height, width, channels), image_size) or (height, width)
    size = num_examples * (height or 0) * (width or 0) * channels
    limit = _memory() / 4
    if size > limit:
        notify(
            f"{description.name}: its {num_examples:,} images would take {size / 2**30:.1f} GiB of memory "
            "and are decoded at every pass instead. Pass a smaller image_size, or cache=True to keep them."
        )
    return size <= limit


def check_batch(description: Description, batch_size: int, image_size: tuple[int, int] | None) -> None:
    """Raise `ValueError` if a batch is so large that the several batches of a pipeline exceed the memory."""
    height, width, channels = description.image_shape or (0, 0, 0)
    height, width = image_size or (height or 0, width or 0)
    examples = min(batch_size, max(description.num_examples.values()))
    size = 4 * examples * height * width * channels
    if size > _memory() / 4:
        raise ValueError(
            f"image_size: expected batches of at most {_memory() / 2**32:.1f} GiB, a quarter of the memory, "
            f"got {size / 2**30:.1f} GiB: {examples:,} images of {height} x {width} in {description.name}. "
            "Pass a smaller image_size, such as image_size=224, or a smaller batch_size."
        )


def _memory() -> float:
    """Return the machine's memory in bytes."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError):  # not available on Windows
        return 2.0**34
