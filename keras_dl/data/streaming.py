"""Sets larger than the memory: read from their files at every pass, by many readers at once."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import tensorflow as tf

from keras_dl.data.loading import height_and_width
from keras_dl.data.pipeline import as_model_input, passes_from, prefetched
from keras_dl.data.share import Share
from keras_dl.data.splits import select
from keras_dl.data.tfds import open_files

_BUFFER = 10_000  # encoded examples that are mixed at a time
_EVERYTHING = Share(0, 1, 1)


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
    share: Share | None = None,
    service: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> tf.data.Dataset:
    """Batches of a prepared TFDS set of images, as `load` gives them, without keeping the set in memory.

    The files of the split are read side by side, images are decoded on all cores, and `shuffle` mixes 10,000
    encoded examples at a time: coarser than `load`, which mixes all of them.

    Replica r of n reads the examples from N r / n to N (r + 1) / n, rounded down, and so only the files that
    hold them: whole files of its own where the set has many, ranges of one where it has few. A pass shows
    each example exactly once. Which examples make up a batch depends on the number of replicas, unlike with
    `load`.

    Args:
        name: of a prepared TFDS set of images.
        split: a split or one slice of it, such as `train[:90%]`.
        batch_size: B, of all replicas together.
        labels: False gives the images alone.
        image_size: resize images to this side, or to (height, width).
        shuffle: mix the examples; by default for `train` and its slices.
        seed: decides, with the number of the pass, the order.
        epoch: the number of the first pass.
        share: the replicas of one worker: a batch of each of them in turn, pass after pass without end; by
            default all, for one pass each time.
        service: address of a dispatcher of tf.data's service, `grpc://host:port`, whose workers read and
            decode, each a part of the examples. The order is then as they deliver, and not repeatable; they
            must see the files.
        data_dir: where TFDS keeps its sets, by default `TFDS_DATA_DIR`.

    Raises:
        ValueError: the split is no range of examples, or the set holds no images, or images of several sizes
            without `image_size`.
        LookupError, ConnectionError: as `load`.
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
            tf.random.set_seed(1)  # of this graph alone: `shuffle` would mix in the process's
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
        steps = math.ceil(math.ceil(count / of) / each)  # of the replica with the most examples
        if service is not None:
            one = served(first, last, each)
            return _filled(one, steps).repeat() if share is not None else one
        if share is None:
            return passes_from(epoch, lambda number: passes(first, last, each, number))
        counter = tf.data.Dataset.counter(epoch)
        return counter.flat_map(lambda number: _filled(passes(first, last, each, number), steps))

    wanted = _EVERYTHING if share is None else share
    if batch_size % wanted.of or batch_size < 1:
        raise ValueError(
            f"batch_size: expected a multiple of the {wanted.of} replicas, got {batch_size}. Choose another."
        )
    replicas = [of_replica(wanted.first + index, wanted.of) for index in range(wanted.count)]
    if share is None:
        cardinality = math.ceil((end - begin) / batch_size)
        batches = replicas[0]
    else:
        cardinality = tf.data.INFINITE_CARDINALITY
        turns = tf.data.Dataset.range(wanted.count).repeat()
        batches = tf.data.Dataset.choose_from_datasets(replicas, turns)
    return batches.apply(tf.data.experimental.assert_cardinality(cardinality)).apply(prefetched)


def streamed_files(name: str, *, data_dir: str | os.PathLike[str] | None = None) -> str:
    """Which files `stream` reads: equal texts stand for equal files, as far as the set describes them.

    Args:
        name: of a prepared TFDS set of images.
        data_dir: where TFDS keeps its sets, by default `TFDS_DATA_DIR`.

    Raises:
        ValueError, LookupError, ConnectionError: as `stream`.
    """
    return open_files(name, data_dir=data_dir, image_size=None, labels=False).told


def _range(split: str, sizes: Any, name: str) -> tuple[str, int, int]:
    """The part and the examples that a split is."""
    (selection,) = select([split], sizes, name=name)
    if len(selection) != 1:
        raise ValueError(
            f"split: expected one range of examples, got {split!r}. Stream a split or one slice of it."
        )
    part, indices = selection[0]
    return part, int(indices[0]), int(indices[-1]) + 1


def _filled(batches: tf.data.Dataset, steps: int) -> tf.data.Dataset:
    """`steps` batches, empty ones at the end if need be: all replicas must take as many steps."""

    def empty(spec: Any) -> Any:
        if None in spec.shape[1:]:
            raise ValueError(
                "image_size: the images differ in size and cannot be batched as they are. Give the size."
            )
        return np.zeros((0, *spec.shape[1:]), spec.dtype.as_numpy_dtype)

    nothing = tf.data.Dataset.from_tensors(tf.nest.map_structure(empty, batches.element_spec))
    return batches.concatenate(nothing.repeat()).take(steps)
