"""A text that is equal on all workers if their data are."""

from __future__ import annotations

import reprlib
import zlib

import numpy as np
import tensorflow as tf

from keras_dl.recipes import Splits


def fingerprint(splits: Splits) -> str:
    """Return the facts about the data that a model depends on, and a checksum of all examples.

    For a training split that is streamed it names the files instead of a checksum.
    """
    facts = splits.description
    parts = [splits.validation, splits.test]
    if splits.files is None:
        parts.append(splits.train_in_order())
    values = {
        "examples": dict(facts.num_examples),
        "image_shape": facts.image_shape,
        "num_features": facts.num_features,
        "class_names": reprlib.repr(facts.class_names),
        "vocabulary": facts.vocabulary,
        "files": splits.files,
    }
    listed = ", ".join(f"{name} {value}" for name, value in values.items() if value not in (None, "None", {}))
    checksum = zlib.crc32(repr(facts).encode(errors="replace"))
    for part in parts:
        checksum = _checksum(part, checksum)
    return f"{facts.name}: {listed}, checksum {checksum:08x}"


def _checksum(batches: tf.data.Dataset, begun: int) -> int:
    for batch in batches.as_numpy_iterator():
        for column in tf.nest.flatten(batch):
            begun = zlib.crc32(np.asarray(column).tobytes(), begun)
    return begun
