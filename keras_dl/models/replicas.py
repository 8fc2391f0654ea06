"""Where models find sums and means over a global batch: those of `keras_dl.replicas`."""

from __future__ import annotations

from keras_dl.replicas import replica_count, replica_mean, replica_sum, weighed_replica

__all__ = ["replica_count", "replica_mean", "replica_sum", "weighed_replica"]
