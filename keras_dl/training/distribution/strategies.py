"""The teams that strategies stand for: one device, all devices of a machine, all workers of a cluster."""

from __future__ import annotations

import functools
from typing import Literal

import tensorflow as tf

from keras_dl.training.distribution.cluster import Cluster, ClusterError, cluster_of, wait_for_all
from keras_dl.training.distribution.team import Team
from keras_dl.training.distribution.watchdog import JOIN_SECONDS, STEP_SECONDS, killed_after, time_limit

Strategy = Literal["mirrored", "multi-worker"]


def open_team(strategy: Strategy | None) -> Team:
    """Return the team of a training.

    Args:
        strategy: `"mirrored"`: all devices of this machine; `"multi-worker"`: all devices of all workers that
            `TF_CONFIG` names; None: one device.

    Raises:
        ValueError: there is no such strategy, or `TF_CONFIG` is malformed.
        ClusterError: a worker does not answer in time.
    """
    if strategy is None:
        return Team()
    if strategy == "mirrored":
        return _mirrored()
    if strategy != "multi-worker":
        raise ValueError(
            "strategy: expected 'mirrored' (all devices of this machine), 'multi-worker' (all workers that "
            f"TF_CONFIG names) or none (one device), got {strategy!r}. Name one of them."
        )
    return _joined(cluster_of())


def check_for_replicas(batch_size: int, precision: str, replicas: int) -> None:
    """Refuse a batch size or a precision that several replicas cannot train with.

    Raises:
        ValueError: `batch_size` is not a multiple of `replicas`, or the precision is float16.
    """
    if batch_size % replicas:
        less, more = batch_size // replicas * replicas, -(-batch_size // replicas) * replicas
        choice = f"{less} or {more}" if less else f"{more}"
        raise ValueError(
            f"batch_size: expected a multiple of the {replicas} replicas that share it, got {batch_size}. "
            f"Choose {choice}."
        )
    if replicas > 1 and precision == "mixed_float16":
        raise ValueError(
            "precision: expected 'float32' or 'mixed_bfloat16' for several replicas, each of which would "
            "scale its float16 loss by itself, got 'mixed_float16'. Pass 'mixed_bfloat16'."
        )


@functools.cache  # TensorFlow would mistake the exchanges of a second strategy for those of the first
def _mirrored() -> Team:
    return Team(tf.distribute.MirroredStrategy(_local_devices()))


@functools.cache  # a process joins the workers once
def _joined(cluster: Cluster) -> Team:
    limit = time_limit(JOIN_SECONDS)
    wait_for_all(cluster, limit)
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=time_limit(STEP_SECONDS))
    message = (
        f"TF_CONFIG: some of the workers {', '.join(cluster.others)} answered, but did not join within "
        f"{limit:g} seconds. Check these workers, and start all workers again.\n"
    )
    try:
        with killed_after(limit, message):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except RuntimeError as error:
        if "startup" not in str(error):
            raise
        raise ClusterError(
            "strategy: 'multi-worker' has to come before anything else that uses TensorFlow, got a process "
            "in which it has run already. Train in a new process."
        ) from None
    return Team(strategy, cluster)


def _local_devices() -> list[str] | None:
    """Return the logical CPUs where there is no GPU: a strategy would use only one of them."""
    if tf.config.list_logical_devices("GPU"):
        return None
    return [device.name for device in tf.config.list_logical_devices("CPU")]
