"""The adding problem: a sequence task whose target depends on inputs hundreds of steps apart."""

from __future__ import annotations

from typing import Any, Literal

import tensorflow as tf

from keras_dl.data.pipeline import prefetched
from keras_dl_export.arguments import check_int

_SPLITS = {"train": 0, "validation": 1, "test": 2}


def adding_problem(
    split: Literal["train", "validation", "test"] = "train",
    batch_size: int = 128,
    *,
    length: int = 600,
    num_examples: int = 50_000,
    seed: int = 0,
) -> tf.data.Dataset:
    """Return batches of `(sequence, sum)`: sequence float32 (B, T, 2), sum float32 (B, 1).

    At each step the first feature is drawn from U[0, 1) and the second is a marker: 1 at two steps, 0
    elsewhere. The two steps are drawn without replacement; the target is the sum of the two marked numbers.
    Always predicting the mean, 1, has a mean squared error of 1/6, the variance of that sum: the baseline.

    An example depends only on (seed, split, its index): with more examples or another batch size the first
    ones are unchanged. Examples are generated as they are read and take no memory; their order is the same in
    every pass.

    Args:
        split: `train`, `validation` or `test`, which are independent of each other.
        batch_size: B.
        length: T, at least 2.
        num_examples: examples in one pass. The reference uses 50,000 for training and 1,000 for testing.
        seed: seed of the data set.

    Raises:
        ValueError: `split` is unknown, or a number is out of range.

    Reference: Hochreiter and Schmidhuber, Long short-term memory (1997), section 5.4; with markers at any two
    steps, as here: Bai, Kolter and Koltun, An empirical evaluation of generic convolutional and recurrent
    networks (2018).
    """
    if split not in _SPLITS:
        raise ValueError(f"split: expected 'train', 'validation' or 'test', got {split!r}. Pass one of them.")
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("length", length, 2),
        ("num_examples", num_examples, 1),
        ("seed", seed, 0),
    ):
        check_int(name, value, least)
    key = tf.random.fold_in(tf.constant([seed, 0], tf.int64), _SPLITS[split])

    def example(index: Any) -> tuple[Any, Any]:
        numbers_key, first_key, second_key = tf.unstack(tf.random.split(tf.random.fold_in(key, index), 3))
        numbers = tf.random.stateless_uniform([length], numbers_key)
        first = tf.random.stateless_uniform([], first_key, maxval=length, dtype=tf.int32)
        second = tf.random.stateless_uniform([], second_key, maxval=length - 1, dtype=tf.int32)
        second += tf.cast(second >= first, tf.int32)  # uniform over the other steps
        markers = tf.one_hot(first, length) + tf.one_hot(second, length)
        return tf.stack([numbers, markers], axis=-1), tf.reduce_sum(numbers * markers, keepdims=True)

    dataset = tf.data.Dataset.range(num_examples).map(example, tf.data.AUTOTUNE)
    return dataset.batch(batch_size).apply(prefetched)
