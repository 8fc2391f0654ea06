"""Those who train one model together: the devices of a machine, or several machines, or one device alone."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from keras_dl.data import Share
from keras_dl.training.cluster import Cluster, ClusterError, cluster_of, wait_for_all
from keras_dl.training.keras_gaps import mended_keras

# How long to wait for all workers to start, and for a worker that is alive but does not take part in a step.
# (One that dies is noticed within seconds.)
JOIN_SECONDS = ("KERAS_DL_JOIN_SECONDS", 300.0)
STEP_SECONDS = ("KERAS_DL_STEP_SECONDS", 600.0)


class Team:
    """The replicas that train in step, as one of their processes sees them.

    Every process runs the same program. What must be done once is done by the chief, and what it found out is
    told to the others by `from_chief`, over the connections that the gradients take: nobody but the chief
    needs to see its files.

    Args:
        strategy: the strategy, or None for one device.
        cluster: the workers, if they are several processes.
    """

    def __init__(self, strategy: Any = None, cluster: Cluster | None = None) -> None:
        self.strategy, self.cluster = strategy, cluster
        self.replicas = 1 if strategy is None else int(strategy.num_replicas_in_sync)
        self._replicas_of_a_worker = self.replicas // (1 if cluster is None else len(cluster.addresses))
        self._summed: Any = None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files."""
        return self.cluster is None or self.cluster.is_chief

    def scope(self) -> Any:
        """The scope in which the model is made."""
        return nullcontext() if self.strategy is None else self.strategy.scope()

    def batches(self, make: Callable[[Share], tf.data.Dataset]) -> Any:
        """What `fit` takes: the batches of this process's replicas.

        Args:
            make: share -> the part of each global batch that its replicas get in turn.
        """
        worker = 0 if self.cluster is None else self.cluster.index
        share = Share(worker * self._replicas_of_a_worker, self._replicas_of_a_worker, self.replicas)
        return self.strategy.distribute_datasets_from_function(lambda context: make(share))

    def from_chief(self, make: Callable[[], bytes]) -> bytes:
        """What `make` returns on the chief, on every worker.

        Raises:
            ClusterError: `make` failed on the chief, which itself raises the original error.
        """
        if self.cluster is None:
            return make()
        failure: Exception | None = None
        told = b""
        if self.is_chief:
            try:
                told = b"+" + make()
            except Exception as error:
                failure, told = error, b"-" + str(error).encode()
        told = self._broadcast(told)
        if failure is not None:
            raise failure
        if told[:1] == b"-":
            raise ClusterError(f"The chief, {self.cluster.addresses[0]}, cannot train: {told[1:].decode()}")
        return told[1:]

    def agree(self, name: str, describe: Callable[[], str]) -> None:
        """Make sure that something is the same on all workers; a process alone has nobody to ask.

        Args:
            name: what the error calls it.
            describe: makes a text that tells it from others.

        Raises:
            ValueError: some workers have another than the chief; on all workers alike.
        """
        if self.cluster is None:
            return
        value = describe()
        wanted = self.from_chief(value.encode).decode()
        differs = np.zeros(len(self.cluster.addresses), np.int32)
        differs[self.cluster.index] = value != wanted
        others = np.flatnonzero(self._sum(differs))
        if others.size:
            addresses = ", ".join(self.cluster.addresses[index] for index in others)
            mine = f" This worker has {value}." if value != wanted else ""
            raise ValueError(
                f"{name}: expected the same on all workers, got another than the chief's on {addresses}. The "
                f"chief has {wanted}.{mine} Give all workers the same arguments and the same data."
            )

    @contextmanager
    def training(self) -> Iterator[None]:
        """The block in which the model trains; a worker that is lost in it ends it on all others.

        Raises:
            ClusterError: a worker died, or did not take part in a step for too long.
        """
        if self.cluster is None:
            yield
            return
        try:
            with mended_keras():
                yield
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
            raise ClusterError(
                "TF_CONFIG: a worker was lost while training. Start all of them again with resume=True "
                f"(--resume): they go on from the last checkpoint. TensorFlow says: {_first_lines(error)}"
            ) from None
        except tf.errors.DeadlineExceededError:
            raise ClusterError(
                f"TF_CONFIG: some worker took no part in a step for {_seconds(STEP_SECONDS):g} seconds, the "
                f"time that {STEP_SECONDS[0]} allows. See what holds it up, and start all workers again with "
                "resume=True (--resume)."
            ) from None

    def _broadcast(self, content: bytes) -> bytes:
        """The chief's `content`; that of the others is ignored."""
        size = int(self._sum(np.array([len(content) if self.is_chief else 0], np.int64))[0])
        # Sums have no type of one byte; four at a time.
        words = np.zeros(-(-size // 4), np.int32)
        if self.is_chief:
            words = np.frombuffer(content.ljust(4 * len(words), b"\0"), np.int32)
        return bytes(self._sum(words).tobytes()[:size])

    def _sum(self, values: Any) -> Any:
        """The sum of all workers' `values`."""
        if self._summed is None:
            self._summed = tf.function(self._sum_of_first_replicas, reduce_retracing=True)
        with self.training():
            sums = self.strategy.run(self._summed, args=(tf.constant(values),))
        return self.strategy.experimental_local_results(sums)[0].numpy()

    def _sum_of_first_replicas(self, values: Any) -> Any:
        """Each worker's first replica has its `values`, the others have zeros."""
        context = tf.distribute.get_replica_context()
        is_first = context.replica_id_in_sync_group % self._replicas_of_a_worker == 0
        mine = tf.where(is_first, values, tf.zeros_like(values))
        return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)


def open_team(strategy: str | None) -> Team:
    """The team of a training.

    Args:
        strategy: `"mirrored"`: all devices of this machine; `"multi-worker"`: all devices of all workers that
            `TF_CONFIG` names; None: one device.

    Raises:
        ValueError: there is no such strategy, or `TF_CONFIG` is malformed.
        ClusterError: a worker does not come.
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


@functools.cache  # the exchanges of a second strategy would be taken for those of the first
def _mirrored() -> Team:
    return Team(tf.distribute.MirroredStrategy(_local_devices()))


@functools.cache  # a process takes its place among the workers once, and keeps it
def _joined(cluster: Cluster) -> Team:
    wait_for_all(cluster, _seconds(JOIN_SECONDS))
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=_seconds(STEP_SECONDS))
    try:
        with _given_up_after(_seconds(JOIN_SECONDS), cluster):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except RuntimeError as error:
        if "startup" not in str(error):
            raise
        raise ClusterError(
            "strategy: 'multi-worker' has to come before anything else that uses TensorFlow, got a process "
            "in which it has run already. Train in a new process."
        ) from None
    return Team(strategy, cluster)


@contextmanager
def _given_up_after(seconds: float, cluster: Cluster) -> Iterator[None]:
    """End this process if the block takes longer.

    TensorFlow waits for its peers without an end, deaf to exceptions, signals and other threads: only another
    process can break that off. It leaves when its standard input is closed, at the latest with this process.
    """
    message = (
        f"TF_CONFIG: some of the workers {', '.join(cluster.others)} answered, but did not join within "
        f"{seconds:g} seconds. See what holds them up, and start all workers again.\n"
    )
    watch = [sys.executable, "-I", "-S", "-c", _WATCH, str(seconds), str(os.getpid()), message]
    with subprocess.Popen(watch, stdin=subprocess.PIPE):  # the end of this block closes the pipe
        yield


_WATCH = """
import os, select, signal, sys
seconds, process, message = sys.argv[1:]
if not select.select([0], [], [], float(seconds))[0]:
    sys.stderr.write(message)
    os.kill(int(process), signal.SIGKILL)
"""


def check_for_replicas(batch_size: int, precision: str, replicas: int) -> None:
    """Refuse what several replicas cannot train with.

    Raises:
        ValueError: `batch_size` is no multiple of `replicas`, or the precision is float16.
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
            "scale its float16 loss by itself, got 'mixed_float16'. Take 'mixed_bfloat16'."
        )


def _local_devices() -> list[str] | None:
    """The logical CPUs where there is no GPU: a strategy would take one of them by itself."""
    if tf.config.list_logical_devices("GPU"):
        return None
    return [device.name for device in tf.config.list_logical_devices("CPU")]


def _seconds(setting: tuple[str, float]) -> float:
    name, default = setting
    text = os.environ.get(name, "")
    try:
        seconds = float(text or default)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{name}: expected a number of seconds above 0, got {text!r}. Set it to, say, 300.")
    return seconds


def _first_lines(error: tf.errors.OpError) -> str:
    return " ".join(error.message.split("\n")[:2])[:300]
