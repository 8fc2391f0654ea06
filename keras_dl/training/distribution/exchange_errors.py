"""Errors of the exchanges between replicas, as an explanation with a remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from keras_dl.training.distribution.cluster import ClusterError
from keras_dl.training.distribution.watchdog import STEP_SECONDS, time_limit

_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
# Phrases of TensorFlow's messages.
_BROKEN = "Restart your program to reset"
_ABORTED = "Collective ops is aborted by: "
_NO_CAUSE = re.compile(
    r"\s*($|File |\[\[|Graph execution error|Detected at node|\d+ root error|The error could be)"
)


@contextmanager
def explained(several_workers: bool) -> Iterator[None]:
    """Replace TensorFlow's error of a failed exchange by one that names the remedy.

    Args:
        several_workers: whether the replicas belong to several processes.

    Raises:
        ClusterError: an exchange failed in the block.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if several_workers and isinstance(error, tf.errors.DeadlineExceededError):
            problem = (
                f"TF_CONFIG: some worker did not take part in a step for {time_limit(STEP_SECONDS):g} "
                f"seconds, the time that {STEP_SECONDS[0]} allows. Check that worker, and start all workers "
                "again with resume=True (--resume)."
            )
        elif several_workers and isinstance(error, _LOST):
            problem = (
                "TF_CONFIG: a worker was lost while training. Start all of them again with resume=True "
                "(--resume): they continue from the last checkpoint."
            )
        elif _BROKEN in error.message:
            problem = (
                "strategy: the exchanges between the replicas failed, and TensorFlow cannot restart them "
                "in this process. Fix the cause, and train in a new process."
            )
        else:
            raise
        raise ClusterError(f"{problem} TensorFlow reports: {cause_of(error.message)}") from None


def cause_of(message: str) -> str:
    """Return the line of TensorFlow's message that states the cause, without the graph and its traceback."""
    lines = [
        re.sub(r"^(\{\{.*?\}\}|\(\d+\)) ", "", line.strip())
        for line in message.split("\n")
        if not _NO_CAUSE.match(line)
    ]
    causes = [line for line in lines if _ABORTED in line] or lines or [message]
    return causes[0].rpartition(_ABORTED)[2].strip()[:300]
