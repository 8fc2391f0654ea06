"""Batching: an engine that combines concurrent requests into batches for another engine."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    StatusError,
    UnavailableError,
    UnknownError,
)
from keras_dl_serving.protocol.signatures import Signature
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.engines.engine import Cancellation, Engine


@dataclass(frozen=True)
class BatchingOptions:
    """TensorFlow Serving's batching parameters.

    Attributes:
        max_batch_size: the most rows in a batch.
        timeout_micros: microseconds for which a batch that is not full waits, once a thread is idle.
        max_enqueued_batches: the most queued batches; further requests are refused.
        threads: the number of batches that run at the same time.
        allowed_batch_sizes: the sizes to which batches are padded, increasing; the last is `max_batch_size`.
        pad: whether inputs of unequal sizes are combined, padded with their first value.
        split: whether a request larger than `max_batch_size` runs in parts instead of being refused.

    Raises:
        InvalidArgumentError: they contradict each other.
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
            raise InvalidArgumentError(f"max_batch_size must be positive; was {self.max_batch_size}")
        if self.timeout_micros < 0:
            raise InvalidArgumentError(
                f"batch_timeout_micros must be non-negative; was {self.timeout_micros}"
            )
        if self.max_enqueued_batches < 1:
            raise InvalidArgumentError(
                f"max_enqueued_batches must be positive; was {self.max_enqueued_batches}"
            )
        if self.threads < 1:
            raise InvalidArgumentError(f"num_batch_threads must be positive; was {self.threads}")
        if any(one >= other for one, other in pairwise(sizes)):
            raise InvalidArgumentError(
                "allowed_batch_sizes entries must be monotonically increasing; they were "
                f"{', '.join(map(str, sizes))}"
            )
        if sizes and sizes[-1] != self.max_batch_size:
            raise InvalidArgumentError(
                f"final entry in allowed_batch_sizes must equal max_batch_size; they were {sizes[-1]} and "
                f"{self.max_batch_size}"
            )


def from_proto(proto: messages.BatchingParameters) -> BatchingOptions:
    """Return the parameters of a batching file; parameters that it omits keep their defaults.

    Raises:
        InvalidArgumentError: they contradict each other.
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
    cancellation: Cancellation
    result: asyncio.Future[list[Array]]


@dataclass
class _Batch:
    loop: asyncio.AbstractEventLoop  # read once per batch, as the clock is a system call
    key: tuple[Any, ...]
    signature_name: str
    outputs: Sequence[str]
    tasks: list[_Task] = field(default_factory=list)
    size: int = 0
    ready: bool = False  # ready to run: full, or waited long enough; until it runs, others may join

    def cancellation(self) -> Cancellation:
        """Return the cancellation of the run: when all its tasks are cancelled, or at their last deadline."""
        deadlines = [task.cancellation.deadline for task in self.tasks]
        known = [each for each in deadlines if each is not None]
        ours = Cancellation(max(known) if len(known) == len(deadlines) else None)

        def given_up() -> None:
            if all(task.result.done() for task in self.tasks):
                ours.cancel()

        for task in self.tasks:
            task.cancellation.on_cancel(given_up)
        return ours


class BatchingEngine:
    """An engine that queues requests and runs them in batches.

    The queues belong to one event loop, so that nothing here requires a lock; threads only run the batches.
    Requests gather while all threads are busy.
    """

    def __init__(self, engine: Engine, options: BatchingOptions) -> None:
        self._engine = engine
        self._options = options
        self._queue: deque[_Batch] = deque()
        self._open: dict[tuple[Any, ...], _Batch] = {}
        self._threads = ThreadPoolExecutor(options.threads, thread_name_prefix="keras_dl_batch")
        self._idle = options.threads
        self._closed = False

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures by name."""
        return self._engine.signatures

    @property
    def refused(self) -> Mapping[str, str]:
        """The reason why another signature cannot be called, by name."""
        return self._engine.refused

    @property
    def signature_def_map(self) -> bytes:
        """The signatures as a serialized `SignatureDefMap`."""
        return self._engine.signature_def_map

    def run(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        cancellation: Cancellation | None = None,
    ) -> list[Array]:
        """Compute the named outputs at once, without batching."""
        return self._engine.run(signature_name, inputs, outputs, cancellation)

    async def submit(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        cancellation: Cancellation | None = None,
    ) -> list[Array]:
        """Compute the named outputs in a batch with other requests for them.

        A batch is cancelled when all its requests are cancelled, or at their last deadline.

        Raises:
            StatusError: the inputs have no common batch axis, too many requests are queued, or the run fails.
        """
        cancellation = cancellation or Cancellation()
        size = _batch_size(inputs)
        most = self._options.max_batch_size
        if size <= most:
            return await self._enqueue(signature_name, inputs, size, outputs, cancellation)
        if not self._options.split:
            raise InvalidArgumentError(f"Task size {size} is larger than maximum input batch size {most}")
        parts = []
        for start in range(0, size, most):
            part = {name: array[start : start + most] for name, array in inputs.items()}
            rows = min(most, size - start)
            parts.append(await self._enqueue(signature_name, part, rows, outputs, cancellation))
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def close(self) -> None:
        """Wait for the running batches, stop the threads and close the engine. The queue is empty."""
        self._closed = True
        self._threads.shutdown()
        self._engine.close()

    def _enqueue(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        size: int,
        outputs: Sequence[str],
        cancellation: Cancellation,
    ) -> asyncio.Future[list[Array]]:
        shapes = ((name, a.dtype, a.ndim if self._options.pad else a.shape[1:]) for name, a in inputs.items())
        key = (signature_name, *outputs, *shapes)
        batch = self._open.get(key)
        if batch is None or batch.size + size > self._options.max_batch_size:
            if len(self._queue) >= self._options.max_enqueued_batches:
                raise UnavailableError("The batch scheduling queue to which this task was submitted is full")
            if batch:
                self._is_ready(batch)
            loop = asyncio.get_running_loop()
            batch = self._open[key] = _Batch(loop, key, signature_name, outputs)
            self._queue.append(batch)
            if wait := self._options.timeout_micros:
                loop.call_later(wait * 1e-6, self._is_ready, batch)
            else:  # not at once: requests of the same moment are still being read
                loop.call_soon(self._is_ready, batch)
        task = _Task(inputs, size, cancellation, batch.loop.create_future())
        batch.tasks.append(task)
        batch.size += size
        if batch.size == self._options.max_batch_size:
            self._is_ready(batch)
        return task.result

    def _is_ready(self, batch: _Batch) -> None:
        batch.ready = True
        self._start()

    def _start(self) -> None:
        """Run the batches that are ready, as far as threads are idle."""
        for batch in [*self._queue]:
            if self._closed or not self._idle:
                return
            if batch.ready:
                self._queue.remove(batch)
                if self._open.get(batch.key) is batch:
                    del self._open[batch.key]
                batch.tasks = [
                    task for task in batch.tasks if not task.result.done()
                ]  # cancelled in the meantime
                if batch.tasks:
                    self._idle -= 1
                    cancellation = batch.cancellation()
                    running = batch.loop.run_in_executor(self._threads, self._run, batch, cancellation)
                    running.add_done_callback(partial(self._finish, batch))

    def _finish(self, batch: _Batch, done: asyncio.Future[list[list[Array]]]) -> None:
        self._idle += 1
        for task in batch.tasks:
            task.cancellation.settle()
        error = done.exception()
        if error is None:
            for task, result in zip(batch.tasks, done.result(), strict=True):
                if not task.result.done():
                    task.result.set_result(result)
        elif len(batch.tasks) == 1:
            if not batch.tasks[0].result.done():
                known = isinstance(error, StatusError)
                batch.tasks[0].result.set_exception(
                    error if known else UnknownError(f"{type(error).__name__}: {error}")
                )
        else:  # one request's error is not the others'
            alone = (
                _Batch(batch.loop, batch.key, batch.signature_name, batch.outputs, [task], task.size, True)
                for task in reversed(batch.tasks)
            )
            self._queue.extendleft(alone)
        self._start()

    def _run(self, batch: _Batch, cancellation: Cancellation) -> list[list[Array]]:
        """Run a batch in a thread, and return the results of its tasks."""
        tasks = batch.tasks
        total = sum(task.size for task in tasks)
        allowed_sizes = self._options.allowed_batch_sizes if total else ()  # no row, so none to pad with
        size = min((allowed for allowed in allowed_sizes if allowed >= total), default=total)
        inputs = {
            name: _join([task.inputs[name] for task in tasks], size, pad=self._options.pad)
            for name in tasks[0].inputs
        }
        arrays = self._engine.run(batch.signature_name, inputs, batch.outputs, cancellation)
        for array in arrays:
            if array.ndim == 0:
                raise FailedPreconditionError("Batched output tensor has 0 dimensions")
            if len(array) != size:
                raise FailedPreconditionError(
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
            raise InvalidArgumentError(
                "Batching session Run() input tensors must have at least one dimension"
            )
        sizes.add(len(array))
    if len(sizes) != 1:
        raise InvalidArgumentError("Batching session Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def _join(arrays: list[Array], size: int, *, pad: bool) -> Array:
    if pad and len({array.shape[1:] for array in arrays}) > 1:
        shape = np.max([array.shape[1:] for array in arrays], axis=0)
        arrays = [_padded(array, shape) for array in arrays]
    arrays = [array for array in arrays if len(array)] or arrays[:1]
    missing = size - sum(len(array) for array in arrays)
    if missing:
        arrays = [*arrays, np.repeat(arrays[0][:1], missing, axis=0)]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _padded(array: Array, shape: Array) -> Array:
    value = array.flat[0] if array.size else np.zeros((), array.dtype)[()]
    padded = np.full((len(array), *shape), value, array.dtype)
    padded[tuple(slice(length) for length in array.shape)] = array
    return padded
