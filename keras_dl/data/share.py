"""Batches shared out among the replicas of a `tf.distribute` strategy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Share:
    """The replicas of one worker among those of all.

    Attributes:
        first: the first replica of this worker.
        count: how many it has.
        of: how many all workers have.
    """

    first: int
    count: int
    of: int


def shared(batches: tf.data.Dataset, share: Share) -> tf.data.Dataset:
    """What `share` has of each batch: one smaller batch for each of its replicas in turn.

    Replica r of n takes the examples from B r / n to B (r + 1) / n of a batch of B, rounded down. So every
    example goes to exactly one replica, whatever B is; the shares of a batch differ by one example at most,
    and some are empty where B is below n.

    Args:
        batches: the global batches: tensors, or nests of them, of one first axis.
        share: whose part is wanted. Every worker must have the same batches.
    """

    def of_replica(batch: Any, replica: Any) -> Any:
        size = tf.shape(tf.nest.flatten(batch)[0], tf.int64)[0]
        begin, end = size * replica // share.of, size * (replica + 1) // share.of
        return tf.nest.map_structure(lambda values: values[begin:end], batch)

    def of_worker(*batch: Any) -> tf.data.Dataset:
        whole = batch if len(batch) > 1 else batch[0]
        replicas = tf.data.Dataset.range(share.first, share.first + share.count)
        return replicas.map(lambda replica: of_replica(whole, replica))

    return batches.flat_map(of_worker)
