"""Those who train one model together: the devices of a machine, or several machines, or one device alone."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from keras_dl.data import Share
from keras_dl.training.cluster import Cluster, ClusterError, cluster_of, wait_for_all
from keras_dl.training.keras_gaps import mended_keras

# How long to wait for all workers to start, and for a worker that is alive but does not take part in a step.
# (One that dies is noticed within seconds.)
JOIN_SECONDS = ("KERAS_DL_JOIN_SECONDS", 300.0)
STEP_SECONDS = ("KERAS_DL_STEP_SECONDS", 600.0)

_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
# TensorFlow's words.
_BROKEN = "Restart your program to reset"
_ABORTED = "Collective ops is aborted by: "
_NO_CAUSE = re.compile(
    r"\s*($|File |\[\[|Graph execution error|Detected at node|\d+ root error|The error could be)"
)

Result = TypeVar("Result")


class Team:
    """The replicas that train in step, as one of their processes sees them.

    Every process runs the same program. What must be done once is done by the chief, and what it found out is
    told to the others by `from_chief`, over the connections that the gradients take: nobody but the chief
    needs to see its files. What may fail on one of them alone is done by `prepared`, lest the others wait.

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

    def __str__(self) -> str:
        replicas = f"{self.replicas} replica{'s' if self.replicas > 1 else ''}"
        if self.cluster is not None:
            return f"{replicas} of {len(self.cluster.addresses)} workers"
        devices = () if self.strategy is None else self.strategy.extended.worker_devices
        return f"{replicas}: {', '.join(device.rpartition('device:')[2] for device in devices)}"

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

    def prepared(self, make: Callable[[], Result]) -> Result:
        """What `make` returns on this worker, once it has returned on all of them.

        Raises:
            ClusterError: it failed on another worker, whose words are repeated. Where it failed itself, its
                own error is raised.
        """
        if self.cluster is None:
            return make()
        failure: Exception | None = None
        try:
            result = make()
        except Exception as error:
            failure = error
        told = self._from_all("" if failure is None else f"{type(failure).__name__}: {failure}")
        if failure is not None:
            raise failure
        if any(told):
            pairs = zip(self.cluster.addresses, told, strict=True)
            failed = "; ".join(f"{address}: {words}" for address, words in pairs if words)
            raise ClusterError(f"TF_CONFIG: the training cannot begin on all workers. {failed}")
        return result

    def from_chief(self, make: Callable[[], bytes]) -> bytes:
        """What `make` returns on the chief, on every worker.

        Raises:
            ClusterError: as `prepared`, if it failed.
        """
        content = self.prepared(make if self.is_chief else bytes)
        if self.cluster is None:
            return content
        size = int(self._sum(np.array([len(content)], np.int64))[0])
        return _bytes(self._sum(_words(content, size)), size)

    def agree(self, name: str, describe: Callable[[], str]) -> None:
        """Make sure that something is the same on all workers; a process alone has nobody to ask.

        Args:
            name: what the error calls it.
            describe: makes a text that tells it from others.

        Raises:
            ValueError: some workers have another than the chief; on all workers alike.
            ClusterError: as `prepared`.
        """
        if self.cluster is None:
            return
        values = self._from_all(self.prepared(describe))
        pairs = zip(self.cluster.addresses, values, strict=True)
        others = [address for address, value in pairs if value != values[0]]
        if others:
            value = values[self.cluster.index]
            mine = f" This worker has {value}." if value != values[0] else ""
            raise ValueError(
                f"{name}: expected the same on all workers, got another than the chief's on "
                f"{', '.join(others)}. The chief has {values[0]}.{mine} Give all workers the same arguments "
                "and the same data."
            )

    @contextmanager
    def training(self) -> Iterator[None]:
        """The block in which the model trains; a worker that is lost in it ends it on all others.

        Raises:
            ClusterError: a worker died, or did not take part in a step for too long; or the exchanges of the
                replicas broke, in this training or in one before it in this process.
        """
        with nullcontext() if self.strategy is None else mended_keras(), self._exchanging():
            yield

    @contextmanager
    def _exchanging(self) -> Iterator[None]:
        """An exchange that fails in the block is told in words that say what to do."""
        try:
            yield
        except tf.errors.OpError as error:
            if self.cluster is not None and isinstance(error, tf.errors.DeadlineExceededError):
                problem = (
                    f"TF_CONFIG: some worker took no part in a step for {_seconds(STEP_SECONDS):g} seconds, "
                    f"the time that {STEP_SECONDS[0]} allows. See what holds it up, and start all workers "
                    "again with resume=True (--resume)."
                )
            elif self.cluster is not None and isinstance(error, _LOST):
                problem = (
                    "TF_CONFIG: a worker was lost while training. Start all of them again with resume=True "
                    "(--resume): they go on from the last checkpoint."
                )
            elif _BROKEN in error.message:
                problem = (
                    "strategy: the exchanges between the replicas broke off, and TensorFlow does not take "
                    "them up again in this process. Mend the cause, and train in a new one."
                )
            else:
                raise
            raise ClusterError(f"{problem} TensorFlow says: {_cause(error.message)}") from None

    def _from_all(self, text: str) -> list[str]:
        """Each worker's text, on every worker."""
        cluster = self.cluster
        assert cluster is not None
        content = text.encode(errors="replace")
        sizes = np.zeros(len(cluster.addresses), np.int64)
        sizes[cluster.index] = len(content)
        sizes = self._sum(sizes)
        if not sizes.any():
            return [""] * len(sizes)
        texts = np.stack([_words(b"", int(sizes.max()))] * len(sizes))
        texts[cluster.index] = _words(content, int(sizes.max()))
        return [
            _bytes(words, int(size)).decode() for words, size in zip(self._sum(texts), sizes, strict=True)
        ]

    def _sum(self, values: Any) -> Any:
        """The sum of all workers' `values`."""
        if self._summed is None:
            self._summed = tf.function(self._sum_of_first_replicas, reduce_retracing=True)
        with self._exchanging():
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


def _words(content: bytes, size: int) -> Any:
    """Room for `size` bytes that begins with `content`, as numbers: sums have no type of one byte."""
    return np.frombuffer(content.ljust(4 * -(-size // 4), b"\0"), np.int32)


def _bytes(words: Any, size: int) -> bytes:
    return bytes(words.tobytes()[:size])


def _cause(message: str) -> str:
    """The line of TensorFlow's message that says what happened, without the graph and its traceback."""
    lines = [
        re.sub(r"^(\{\{.*?\}\}|\(\d+\)) ", "", line.strip())
        for line in message.split("\n")
        if not _NO_CAUSE.match(line)
    ]
    causes = [line for line in lines if _ABORTED in line] or lines or [message]
    return causes[0].rpartition(_ABORTED)[2].strip()[:300]
