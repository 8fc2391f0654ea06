"""Sums and means over a global batch that a distribution strategy divides among replicas."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops


def replica_mean(values: Any) -> Any:
    """Return the part of this replica of the mean over the global batch; optimizers sum all gradients.

    Args:
        values: one number per example of this replica, (B,); B may differ between replicas.

    Returns:
        A float32 scalar.
    """
    return tf.math.divide_no_nan(ops.sum(values), replica_sum(_count(values)))


def weighed_replica(loss: Any, examples: Any) -> Any:
    """Return `loss` with a gradient such that the sum over replicas is that of the global mean.

    Keras weights all replicas equally, although the parts of the last batch of an epoch may differ in size by
    one example.

    Args:
        loss: a mean over the examples of this replica, which Keras has divided by the number of replicas.
        examples: a tensor, or a nest of tensors, whose first axis is that of the examples.

    Returns:
        A scalar of the same value.
    """
    if replica_count() == 1:
        return loss
    count = _count(tf.nest.flatten(examples)[0])
    weighted = loss * ops.cast(count * replica_count() / replica_sum(count), loss.dtype)
    return weighted + tf.stop_gradient(loss - weighted)


def replica_sum(statistic: Any) -> Any:
    """Return the sum over all replicas of `statistic`, a tensor or a list of tensors, on every replica."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return statistic
    # Only tensors on a device of this replica can be reduced; variables and constants are not on one.
    local = tf.nest.map_structure(
        lambda each: each if isinstance(each, tf.IndexedSlices) else tf.identity(each), statistic
    )
    return context.all_reduce(tf.distribute.ReduceOp.SUM, local)


def replica_count() -> int:
    """Return the number of replicas that train in sync; 1 without a strategy."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def _count(values: Any) -> Any:
    return tf.cast(tf.shape(values)[0], tf.float32)
