"""Data sets larger than memory, read from their files in every pass by parallel readers."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import tensorflow as tf

from keras_dl.data.loading import height_and_width
from keras_dl.data.pipeline import as_model_input, passes_from, prefetched
from keras_dl.data.sharding import Shard
from keras_dl.data.splits import select
from keras_dl.data.tfds import open_files
from keras_dl.renamed import renamed

_BUFFER = 10_000  # encoded examples in the shuffle buffer
_EVERYTHING = Shard(0, 1, 1)


@renamed(shard="share")
def stream(
    name: str,
    split: str = "train",
    batch_size: int = 128,
    *,
    labels: bool = True,
    image_size: int | tuple[int, int] | None = None,
    shuffle: bool | None = None,
    seed: int = 0,
    epoch: int = 0,
    shard: Shard | None = None,
    service: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> tf.data.Dataset:
    """Return batches of a prepared TFDS data set of images, as `load` does, without keeping it in memory.

    The files of the split are read in parallel, images are decoded on all cores, and `shuffle` uses a buffer
    of 10,000 encoded examples, whereas `load` shuffles all of them.

    Replica r of n reads the examples from N r / n to N (r + 1) / n, rounded down, and only the files that
    contain them: whole files if the data set has many, ranges of one if it has few. A pass yields each
    example exactly once. Unlike with `load`, the composition of the batches depends on the number of
    replicas.

    Args:
        name: the name of a prepared TFDS data set of images.
        split: a split or one slice of it, such as `train[:90%]`.
        batch_size: B, of all replicas together.
        labels: False omits the labels.
        image_size: the side, or (height, width), to which images are resized.
        shuffle: shuffle the examples; by default for `train` and its slices.
        seed: seed of the order, together with the number of the pass.
        epoch: the number of the first pass.
        shard: the replicas of one worker: the batches of each of them in turn, in an endless sequence of
            passes; by default all replicas, for one pass at a time.
        service: address of a dispatcher of the tf.data service, `grpc://host:port`, whose workers each read
            and decode a part of the examples. The order then depends on their speed and is not reproducible.
            The workers need access to the files.
        data_dir: the directory of the TFDS data sets; by default `TFDS_DATA_DIR`.

    Raises:
        ValueError: the split is not a range of examples, or the data set has no images, or has images of
            several sizes and `image_size` is missing.
        LookupError, ConnectionError: as for `load`.
    """
    size = height_and_width(image_size)
    files = open_files(name, data_dir=data_dir, image_size=size, labels=labels)
    part, begin, end = _range(split, files.sizes, name)
    mixes = split.startswith("train") if shuffle is None else shuffle

    def finished(image: Any, *label: Any) -> Any:
        image = as_model_input(image, size)
        return (image, *label) if label else image

    def passes(first: int, last: int, each: int, number: Any) -> tf.data.Dataset:
        examples = files.read(part, first, last)
        if mixes:
            key = tf.stack([tf.constant(seed, tf.int64), number])
            tf.random.set_seed(1)  # for this graph only: `shuffle` also uses the global seed
            drawn = tf.random.stateless_uniform((), key, maxval=2**31, dtype=tf.int64)
            examples = examples.shuffle(_BUFFER, seed=drawn, reshuffle_each_iteration=False)
        examples = examples.map(files.decode, tf.data.AUTOTUNE)
        return examples.batch(each).map(finished, tf.data.AUTOTUNE)

    def served(first: int, last: int, each: int) -> tf.data.Dataset:
        examples = files.read(part, first, last)
        examples = examples.shuffle(_BUFFER, seed=seed) if mixes else examples
        policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
        examples = examples.map(files.decode, tf.data.AUTOTUNE).apply(
            tf.data.experimental.service.distribute(processing_mode=policy, service=service)
        )
        return examples.batch(each).map(finished, tf.data.AUTOTUNE)

    def of_replica(replica: int, of: int) -> tf.data.Dataset:
        count = end - begin
        first, last = begin + count * replica // of, begin + count * (replica + 1) // of
        each = batch_size // of
        steps = math.ceil(math.ceil(count / of) / each)  # those of the replica with the most examples
        if service is not None:
            one = served(first, last, each)
            return _filled(one, steps).repeat() if shard is not None else one
        if shard is None:
            return passes_from(epoch, lambda number: passes(first, last, each, number))
        counter = tf.data.Dataset.counter(epoch)
        return counter.flat_map(lambda number: _filled(passes(first, last, each, number), steps))

    replicas_read = _EVERYTHING if shard is None else shard
    if batch_size % replicas_read.of or batch_size < 1:
        raise ValueError(
            f"batch_size: expected a multiple of the {replicas_read.of} replicas, got {batch_size}. Pass "
            "such a multiple."
        )
    replicas = [
        of_replica(replicas_read.first + index, replicas_read.of) for index in range(replicas_read.count)
    ]
    if shard is None:
        cardinality = math.ceil((end - begin) / batch_size)
        batches = replicas[0]
    else:
        cardinality = tf.data.INFINITE_CARDINALITY
        turns = tf.data.Dataset.range(replicas_read.count).repeat()
        batches = tf.data.Dataset.choose_from_datasets(replicas, turns)
    return batches.apply(tf.data.experimental.assert_cardinality(cardinality)).apply(prefetched)


def streamed_files(name: str, *, data_dir: str | os.PathLike[str] | None = None) -> str:
    """Return a text that identifies the files `stream` reads, by name, version and shard lengths.

    Args:
        name: the name of a prepared TFDS data set of images.
        data_dir: the directory of the TFDS data sets; by default `TFDS_DATA_DIR`.

    Raises:
        ValueError, LookupError, ConnectionError: as for `stream`.
    """
    return open_files(name, data_dir=data_dir, image_size=None, labels=False).identity


def _range(split: str, sizes: Any, name: str) -> tuple[str, int, int]:
    """Return the part of a split, and its first and last example."""
    (selection,) = select([split], sizes, name=name)
    if len(selection) != 1:
        raise ValueError(
            f"split: expected one range of examples, got {split!r}. Pass a split or one slice of it."
        )
    part, indices = selection[0]
    return part, int(indices[0]), int(indices[-1]) + 1


def _filled(batches: tf.data.Dataset, steps: int) -> tf.data.Dataset:
    """Return `steps` batches, padded with empty ones: all replicas must take the same number of steps."""

    def empty(spec: Any) -> Any:
        if None in spec.shape[1:]:
            raise ValueError(
                "image_size: expected a size, because the images differ in size, got None. Pass the size to "
                "resize them to."
            )
        return np.zeros((0, *spec.shape[1:]), spec.dtype.as_numpy_dtype)

    empty_batch = tf.data.Dataset.from_tensors(tf.nest.map_structure(empty, batches.element_spec))
    return batches.concatenate(empty_batch.repeat()).take(steps)
