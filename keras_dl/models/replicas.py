"""Sums and means over a global batch that a distribution strategy has shared out among replicas."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops


def replica_mean(values: Any) -> Any:
    """This replica's share of the mean over the global batch: optimizers sum the gradients of all replicas.

    Args:
        values: one number an example, (B,), of this replica's examples.

    Returns:
        A float32 scalar.
    """
    return tf.math.divide_no_nan(ops.sum(values), ops.cast(ops.shape(values)[0] * replica_count(), "float32"))


def replica_sum(statistic: Any) -> Any:
    """The sum of all replicas' `statistic`, a tensor of any shape; every replica gets it."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return statistic
    return context.all_reduce(tf.distribute.ReduceOp.SUM, statistic)


def replica_count() -> int:
    """Replicas that train in step; 1 without a strategy."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)
