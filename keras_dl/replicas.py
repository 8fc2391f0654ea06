"""Sums and means over a global batch that a distribution strategy has shared out among replicas."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops


def replica_mean(values: Any) -> Any:
    """This replica's share of the mean over the global batch: optimizers sum the gradients of all replicas.

    Args:
        values: one number an example, (B,), of this replica's examples; the shares may differ in size.

    Returns:
        A float32 scalar.
    """
    return tf.math.divide_no_nan(ops.sum(values), replica_sum(_count(values)))


def weighed_replica(loss: Any, examples: Any) -> Any:
    """`loss` with the gradient that makes all replicas' losses together the mean over the global batch.

    Keras weighs the replicas alike. The last batch of an epoch may be shared unequally, though: by one
    example.

    Args:
        loss: a mean over this replica's examples, which Keras has divided by the number of replicas.
        examples: a tensor, or a nest of them, whose first axis is that of the examples.

    Returns:
        A scalar of the same value.
    """
    if replica_count() == 1:
        return loss
    mine = _count(tf.nest.flatten(examples)[0])
    weighed = loss * ops.cast(mine * replica_count() / replica_sum(mine), loss.dtype)
    return weighed + tf.stop_gradient(loss - weighed)


def replica_sum(statistic: Any) -> Any:
    """The sum of all replicas' `statistic`, a tensor or a list of them; every replica gets it."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return statistic
    # Variables and constants belong to no device of this replica, and only what does can be exchanged.
    mine = tf.nest.map_structure(
        lambda each: each if isinstance(each, tf.IndexedSlices) else tf.identity(each), statistic
    )
    return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)


def replica_count() -> int:
    """Replicas that train in step; 1 without a strategy."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def _count(values: Any) -> Any:
    return tf.cast(tf.shape(values)[0], tf.float32)
