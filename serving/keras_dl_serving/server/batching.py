"""Requests that come at the same time, run together: an engine around another."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import FailedPrecondition, InvalidArgument, StatusError, Unavailable, Unknown
from keras_dl_serving.server.engines import Engine
from keras_dl_serving.signatures import Signature
from keras_dl_serving.wire import messages


@dataclass(frozen=True)
class BatchingOptions:
    """TensorFlow Serving's batching parameters.

    Attributes:
        max_batch_size: the most rows that run together.
        timeout_micros: how long a batch that is not full waits for more, once a thread is free.
        max_enqueued_batches: batches that may wait; what comes then is refused.
        threads: batches that run at the same time.
        allowed_batch_sizes: sizes to fill batches up to, increasing, the last one being `max_batch_size`.
        pad: whether inputs of unequal sizes go together, filled up with their first value.
        split: whether a request larger than `max_batch_size` runs in parts instead of being refused.

    Raises:
        InvalidArgument: they contradict each other.
    """

    max_batch_size: int = 1000
    timeout_micros: int = 0
    max_enqueued_batches: int = 10
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    pad: bool = False
    split: bool = False

    def __post_init__(self) -> None:
        sizes = self.allowed_batch_sizes
        if self.max_batch_size < 1:
            raise InvalidArgument(f"max_batch_size must be positive; was {self.max_batch_size}")
        if self.timeout_micros < 0:
            raise InvalidArgument(f"batch_timeout_micros must be non-negative; was {self.timeout_micros}")
        if self.max_enqueued_batches < 1:
            raise InvalidArgument(f"max_enqueued_batches must be positive; was {self.max_enqueued_batches}")
        if self.threads < 1:
            raise InvalidArgument(f"num_batch_threads must be positive; was {self.threads}")
        if any(one >= other for one, other in pairwise(sizes)):
            raise InvalidArgument(
                "allowed_batch_sizes entries must be monotonically increasing; they were "
                f"{', '.join(map(str, sizes))}"
            )
        if sizes and sizes[-1] != self.max_batch_size:
            raise InvalidArgument(
                f"final entry in allowed_batch_sizes must equal max_batch_size; they were {sizes[-1]} and "
                f"{self.max_batch_size}"
            )


def from_proto(proto: messages.BatchingParameters) -> BatchingOptions:
    """The parameters of a batching file; those that it does not name keep their defaults.

    Raises:
        InvalidArgument: they contradict each other.
    """
    given: dict[str, Any] = {
        ours: getattr(proto, theirs).value
        for ours, theirs in (
            ("max_batch_size", "max_batch_size"),
            ("timeout_micros", "batch_timeout_micros"),
            ("max_enqueued_batches", "max_enqueued_batches"),
            ("threads", "num_batch_threads"),
            ("split", "enable_large_batch_splitting"),
        )
        if proto.HasField(theirs)
    }
    return BatchingOptions(
        **given,
        allowed_batch_sizes=tuple(proto.allowed_batch_sizes),
        pad=proto.pad_variable_length_inputs,
    )


@dataclass
class _Task:
    inputs: Mapping[str, Array]
    size: int
    result: Future[list[Array]] = field(default_factory=Future)


@dataclass
class _Batch:
    key: tuple[Any, ...]
    signature_name: str
    outputs: Sequence[str]
    due: float
    tasks: list[_Task] = field(default_factory=list)
    size: int = 0
    closed: bool = False


class BatchingEngine:
    """An engine whose calls wait for each other and run as one."""

    def __init__(self, engine: Engine, options: BatchingOptions) -> None:
        self._engine = engine
        self._options = options
        self._queue: deque[_Batch] = deque()
        self._open: dict[tuple[Any, ...], _Batch] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"keras_dl_batch_{index}", daemon=True)
            for index in range(options.threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """What can be asked, by signature name."""
        return self._engine.signatures

    @property
    def signature_def_map(self) -> bytes:
        """The same as a serialised `SignatureDefMap`."""
        return self._engine.signature_def_map

    def run(self, signature_name: str, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Compute the named outputs, together with whoever asks for the same.

        Raises:
            StatusError: the inputs have no common batch axis, too many requests wait, or the run fails.
        """
        size = _batch_size(inputs)
        most = self._options.max_batch_size
        if size <= most:
            return self._submit(signature_name, _Task(inputs, size), outputs).result()
        if not self._options.split:
            raise InvalidArgument(f"Task size {size} is larger than maximum input batch size {most}")
        parts = [
            self._submit(
                signature_name,
                _Task(
                    {name: array[start : start + most] for name, array in inputs.items()},
                    min(most, size - start),
                ),
                outputs,
            ).result()
            for start in range(0, size, most)
        ]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def close(self) -> None:
        """Run what waits, stop the threads, close the engine."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._engine.close()

    def _submit(self, signature_name: str, task: _Task, outputs: Sequence[str]) -> Future[list[Array]]:
        key = (
            signature_name,
            *outputs,
            *(
                (name, a.dtype, a.ndim if self._options.pad else a.shape[1:])
                for name, a in task.inputs.items()
            ),
        )
        with self._changed:
            batch = self._open.get(key)
            if batch is None or batch.size + task.size > self._options.max_batch_size:
                if len(self._queue) >= self._options.max_enqueued_batches:
                    raise Unavailable("The batch scheduling queue to which this task was submitted is full")
                if batch:
                    batch.closed = True
                due = time.monotonic() + self._options.timeout_micros * 1e-6
                batch = self._open[key] = _Batch(key, signature_name, outputs, due)
                self._queue.append(batch)
            batch.tasks.append(task)
            batch.size += task.size
            batch.closed = batch.size == self._options.max_batch_size
            self._changed.notify()
        return task.result

    def _work(self) -> None:
        while batch := self._next():
            self._run(batch)

    def _next(self) -> _Batch | None:
        """The next batch that is full or has waited long enough; none at the end."""
        with self._changed:
            while True:
                now = time.monotonic()
                for batch in self._queue:
                    if batch.closed or batch.due <= now or self._stopping:
                        self._queue.remove(batch)
                        if self._open.get(batch.key) is batch:
                            del self._open[batch.key]
                        return batch
                if self._stopping:
                    return None
                next_due = min((batch.due for batch in self._queue), default=None)
                self._changed.wait(None if next_due is None else max(next_due - now, 0.0))

    def _run(self, batch: _Batch) -> None:
        tasks = batch.tasks
        try:
            results = self._run_together(batch.signature_name, tasks, batch.outputs)
        except Exception as error:
            if len(tasks) > 1:  # one request's mistake is not the others'
                for task in tasks:
                    self._run(_Batch(batch.key, batch.signature_name, batch.outputs, 0.0, [task]))
                return
            failure = error if isinstance(error, StatusError) else Unknown(f"{type(error).__name__}: {error}")
            tasks[0].result.set_exception(failure)
            return
        for task, result in zip(tasks, results, strict=True):
            task.result.set_result(result)

    def _run_together(
        self, signature_name: str, tasks: list[_Task], outputs: Sequence[str]
    ) -> list[list[Array]]:
        total = sum(task.size for task in tasks)
        size = min(
            (allowed for allowed in self._options.allowed_batch_sizes if allowed >= total), default=total
        )
        inputs = {
            name: _join([task.inputs[name] for task in tasks], size, pad=self._options.pad)
            for name in tasks[0].inputs
        }
        arrays = self._engine.run(signature_name, inputs, outputs)
        for array in arrays:
            if array.ndim == 0:
                raise FailedPrecondition("Batched output tensor has 0 dimensions")
            if len(array) != size:
                raise FailedPrecondition(
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes "
                    "of the input tensors"
                )
        results, start = [], 0
        for task in tasks:
            results.append([array[start : start + task.size] for array in arrays])
            start += task.size
        return results


def _batch_size(inputs: Mapping[str, Array]) -> int:
    sizes = set()
    for array in inputs.values():
        if array.ndim == 0:
            raise InvalidArgument("Batching session Run() input tensors must have at least one dimension")
        sizes.add(len(array))
    if len(sizes) != 1:
        raise InvalidArgument("Batching session Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def _join(arrays: list[Array], size: int, *, pad: bool) -> Array:
    if pad and len({array.shape[1:] for array in arrays}) > 1:
        shape = np.max([array.shape[1:] for array in arrays], axis=0)
        arrays = [_padded(array, shape) for array in arrays]
    missing = size - sum(len(array) for array in arrays)
    if missing:
        arrays = [*arrays, np.repeat(arrays[0][:1], missing, axis=0)]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _padded(array: Array, shape: Array) -> Array:
    value = array.flat[0] if array.size else np.zeros((), array.dtype)[()]
    padded = np.full((len(array), *shape), value, array.dtype)
    padded[tuple(slice(length) for length in array.shape)] = array
    return padded
