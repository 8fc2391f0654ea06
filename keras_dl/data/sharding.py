"""Division of batches among the replicas of a `tf.distribute` strategy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Shard:
    """The replicas of one worker among the replicas of all workers.

    Attributes:
        first: the index of the first replica of this worker.
        count: the number of replicas of this worker.
        of: the number of replicas of all workers.
    """

    first: int
    count: int
    of: int


def shard_batches(batches: tf.data.Dataset, shard: Shard) -> tf.data.Dataset:
    """Return the part of each batch that belongs to `shard`: one smaller batch per replica, in turn.

    Replica r of n receives the examples from B r / n to B (r + 1) / n of a batch of B, rounded down. Every
    example thus goes to exactly one replica for any B; the sizes of the parts differ by at most one, and some
    parts are empty if B is below n.

    Args:
        batches: the global batches: tensors, or nests of tensors, with the same first axis.
        shard: the replicas. Every worker must have the same batches.
    """

    def of_replica(batch: Any, replica: Any) -> Any:
        size = tf.shape(tf.nest.flatten(batch)[0], tf.int64)[0]
        begin, end = size * replica // shard.of, size * (replica + 1) // shard.of
        return tf.nest.map_structure(lambda values: values[begin:end], batch)

    def of_worker(*batch: Any) -> tf.data.Dataset:
        whole = batch if len(batch) > 1 else batch[0]
        replicas = tf.data.Dataset.range(shard.first, shard.first + shard.count)
        return replicas.map(lambda replica: of_replica(whole, replica))

    return batches.flat_map(of_worker)


# The former names.
Share = Shard
shared = shard_batches
