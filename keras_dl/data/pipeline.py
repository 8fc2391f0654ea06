"""Construction of batches from columns of examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dl.data.sharding import Shard, shard_batches
from keras_dl.data.source import Examples
from keras_dl.pipeline_errors import reading_error


def batches(
    examples: Examples,
    batch_size: int,
    *,
    decode: Callable[[Any], Any] | None = None,
    image_size: tuple[int, int] | None = None,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    drop_remainder: bool = False,
    shard: Shard | None = None,
) -> tf.data.Dataset:
    """Return batches of (features, labels), or of features only if there are no labels.

    The examples are kept in memory in their stored form (uint8 images, not floats), which serves as the
    cache. Only their indices are shuffled, so that the whole split is shuffled at eight bytes per example.

    Args:
        examples: the columns.
        batch_size: B.
        decode: a function applied to each example before batching, for features that are not arrays yet.
        image_size: (H, W) to which images are resized, bilinearly, with antialiasing when they shrink.
        shuffle: shuffle the examples, differently in every pass.
        seed: seed of the order, which depends only on it and on the number of the pass.
        epoch: the number of the first pass.
        drop_remainder: omit a last batch of fewer than B examples.
        shard: the replicas whose part of each batch is returned, in an endless sequence of passes.
    """
    num_examples = len(examples.features)
    with tf.device("CPU:0"):  # the functions of a data set run on the CPU: avoid a copy from a GPU per batch
        features = tf.constant(examples.features)
        labels = None if examples.labels is None else tf.constant(examples.labels)

    def finish(features: Any, indices: Any) -> Any:
        features = as_model_input(features, image_size)
        return features if labels is None else (features, tf.cast(tf.gather(labels, indices), tf.int32))

    if shard is not None:
        passes = tf.data.Dataset.counter(epoch)
        # Only the indices are divided, so that no worker reads the examples of another.
        indices = passes.flat_map(
            lambda number: _one_pass(num_examples, (seed, number) if shuffle else None).batch(
                batch_size, drop_remainder=drop_remainder
            )
        )

        def read(indices: Any) -> Any:
            selected = tf.gather(features, indices)
            if decode is not None:
                selected = tf.map_fn(decode, selected, fn_output_signature=tf.uint8)
            return finish(selected, indices)

        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return shard_batches(indices, shard).map(read, tf.data.AUTOTUNE).apply(endless).apply(prefetched)

    # Shuffle before batching: otherwise every pass would have the same batches in another order.
    if shuffle:
        dataset = passes_from(epoch, lambda number: _one_pass(num_examples, (seed, number)))
    else:
        dataset = _one_pass(num_examples, None)
    if decode is None:
        # Batch before gathering and scaling: one vectorized call per batch instead of one per example.
        dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
        dataset = dataset.map(lambda indices: finish(tf.gather(features, indices), indices), tf.data.AUTOTUNE)
    else:
        # Files are decoded one by one, and only images of the same size can be batched.
        dataset = dataset.map(lambda index: (decode(tf.gather(features, index)), index), tf.data.AUTOTUNE)
        dataset = dataset.batch(batch_size, drop_remainder=drop_remainder).map(finish, tf.data.AUTOTUNE)
    num_batches = num_examples // batch_size if drop_remainder else -(-num_examples // batch_size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches))
    return prefetched(dataset)


def prefetched(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return the data set with prefetching: the next batch is prepared while the model uses this one."""
    return untuned(dataset.prefetch(tf.data.AUTOTUNE))


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return the data set with TensorFlow's default parallelism instead of autotuning.

    The autotuning thread occasionally misses that its iterator is being deleted (TensorFlow 2.21) and sleeps
    until its next period, up to a minute. The deletion waits for it, which blocks the end of an epoch or a
    garbage collection, and with it all Python threads.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def decoded(features: NDArray[Any], decode: Callable[[Any], Any]) -> NDArray[np.uint8]:
    """Decode all images: (N,) encoded images or paths -> (N, H, W, C) uint8."""
    dataset = untuned(tf.data.Dataset.from_tensor_slices(features).map(decode, tf.data.AUTOTUNE).batch(64))
    images = np.empty((len(features), *dataset.element_spec.shape[1:]), np.uint8)
    first = 0
    try:
        for batch in dataset.as_numpy_iterator():
            images[first : first + len(batch)] = batch
            first += len(batch)
    except tf.errors.OpError as error:
        if (broken := reading_error(error)) is not None:
            raise broken from None
        _raise_on_broken(features, decode)
        raise
    return images


def _raise_on_broken(features: NDArray[Any], decode: Callable[[Any], Any]) -> None:
    for index, feature in enumerate(features):
        try:
            decode(tf.constant(feature))
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                f"source: image {index} cannot be decoded ({error.message}). Repair or remove it."
            ) from None


def passes_from(epoch: int, one_pass: Callable[[Any], tf.data.Dataset]) -> tf.data.Dataset:
    """Return a data set whose passes are `one_pass(epoch)`, `one_pass(epoch + 1)`, ...

    `Dataset.shuffle` cannot start at a later epoch, and its order also depends on TensorFlow's global seed.
    """
    with tf.device("CPU:0"):
        numbers = iter(untuned(tf.data.Dataset.counter(epoch)))  # advances by one each time a pass begins
    return tf.data.Dataset.range(1).flat_map(lambda _: one_pass(next(numbers)))


def _one_pass(num_examples: int, key: tuple[int, Any] | None) -> tf.data.Dataset:
    """Return 0 ... num_examples-1, shuffled by `key`, (seed, number of the pass), or in ascending order."""
    if key is None:
        return tf.data.Dataset.range(num_examples)
    seed, number = key
    seeds = tf.stack([tf.constant(seed, tf.int64), number])
    indices = tf.range(num_examples, dtype=tf.int64)
    return tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(indices, seed=seeds))


def as_model_input(features: Any, image_size: tuple[int, int] | None) -> Any:
    """Convert uint8 images to float32 in [0, 1], resized, and uint16 ids to int32; keep other features."""
    if features.dtype == tf.uint16:
        return tf.cast(features, tf.int32)
    if features.dtype == tf.uint8:
        features = tf.cast(features, tf.float32) / 255.0
    if image_size is not None and tuple(features.shape[1:3]) != image_size:
        features = tf.image.resize(features, image_size, method="bilinear", antialias=True)
    return features
