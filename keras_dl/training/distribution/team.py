"""The replicas that train one model: on several machines, on the devices of one, or on one device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from keras_dl.data import Shard
from keras_dl.training.distribution.cluster import Cluster, ClusterError
from keras_dl.training.distribution.exchange_errors import explained
from keras_dl.training.distribution.keras_gaps import patched

Result = TypeVar("Result")


class Team:
    """The replicas that train in step, as one of their processes sees them.

    Every process runs the same program. What must be done once is done by the chief, which sends the result
    to the others by `broadcast`, over the connections of the gradients: only the chief needs to see its
    files. What may fail on one worker alone runs in `prepared`, so that the others do not wait for it.

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
        """Return the scope in which the model is built."""
        return nullcontext() if self.strategy is None else self.strategy.scope()

    def batches(self, make: Callable[[Shard], tf.data.Dataset]) -> Any:
        """Return the batches of this process's replicas, as `fit` takes them.

        Args:
            make: shard -> the part of each global batch that its replicas get in turn.
        """
        worker = 0 if self.cluster is None else self.cluster.index
        shard = Shard(worker * self._replicas_of_a_worker, self._replicas_of_a_worker, self.replicas)
        return self.strategy.distribute_datasets_from_function(lambda context: make(shard))

    def prepared(self, make: Callable[[], Result]) -> Result:
        """Return what `make` returns on this worker, once it has returned on all of them.

        Raises:
            ClusterError: it failed on another worker, whose message is repeated. A worker on which it failed
                raises its own error.
        """
        if self.cluster is None:
            return make()
        failure: Exception | None = None
        try:
            result = make()
        except Exception as error:
            failure = error
        messages = self._gather("" if failure is None else f"{type(failure).__name__}: {failure}")
        if failure is not None:
            raise failure
        if any(messages):
            pairs = zip(self.cluster.addresses, messages, strict=True)
            failed = "; ".join(f"{address}: {message}" for address, message in pairs if message)
            raise ClusterError(f"TF_CONFIG: the training cannot begin on all workers. {failed}")
        return result

    def broadcast(self, make: Callable[[], bytes]) -> bytes:
        """Return on every worker what `make` returns on the chief.

        Raises:
            ClusterError: as `prepared`, if it failed.
        """
        content = self.prepared(make if self.is_chief else bytes)
        if self.cluster is None:
            return content
        size = int(self._sum(np.array([len(content)], np.int64))[0])
        return _bytes(self._sum(_words(content, size)), size)

    def agree(self, name: str, describe: Callable[[], str]) -> None:
        """Check that something is the same on all workers; a single process passes.

        Args:
            name: its name in the error.
            describe: returns a text that differs where it differs.

        Raises:
            ValueError: some workers have another value than the chief; raised on all workers.
            ClusterError: as `prepared`.
        """
        if self.cluster is None:
            return
        values = self._gather(self.prepared(describe))
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
        """Run the block that trains the model; a worker that is lost in it ends it on all others.

        Raises:
            ClusterError: a worker died, or did not take part in a step for too long; or the exchanges of the
                replicas broke, in this training or in one before it in this process.
        """
        with nullcontext() if self.strategy is None else patched(), explained(self.cluster is not None):
            yield

    def _gather(self, text: str) -> list[str]:
        """Return each worker's text, on every worker."""
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
        """Return the sum of all workers' `values`."""
        if self._summed is None:
            self._summed = tf.function(self._sum_of_first_replicas, reduce_retracing=True)
        with explained(self.cluster is not None):
            sums = self.strategy.run(self._summed, args=(tf.constant(values),))
        return self.strategy.experimental_local_results(sums)[0].numpy()

    def _sum_of_first_replicas(self, values: Any) -> Any:
        """Sum over the first replicas of the workers; the others contribute zeros."""
        context = tf.distribute.get_replica_context()
        is_first = context.replica_id_in_sync_group % self._replicas_of_a_worker == 0
        mine = tf.where(is_first, values, tf.zeros_like(values))
        return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)


def _words(content: bytes, size: int) -> Any:
    """Return `content` padded to `size` bytes, as int32: sums support no type of one byte."""
    return np.frombuffer(content.ljust(4 * -(-size // 4), b"\0"), np.int32)


def _bytes(words: Any, size: int) -> bytes:
    return bytes(words.tobytes()[:size])
