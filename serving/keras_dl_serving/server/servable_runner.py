"""Runners: how the coroutine of a request runs a servable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextvars import ContextVar
from typing import Protocol

from keras_dl_export.dtypes import Array
from keras_dl_serving.protocol.signatures import Signature
from keras_dl_serving.server.batching import BatchingEngine
from keras_dl_serving.server.core import Servable
from keras_dl_serving.server.engines.engine import Cancellation, Engine
from keras_dl_serving.server.metrics import Histogram

DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)
"""Of the request that a task answers, by the monotonic clock."""


class Runner(Protocol):
    """The interface of an engine whose runs are awaited.

    Attributes:
        checks_method_names: whether classify and regress require a signature of that method name.
    """

    checks_method_names: bool

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures by name."""

    @property
    def refused(self) -> Mapping[str, str]:
        """The reason why another signature cannot be called, by name."""

    @property
    def signature_def_map(self) -> bytes:
        """The signatures as a serialized `SignatureDefMap`."""

    async def run(
        self, signature_name: str, inputs: Mapping[str, Array], outputs: Sequence[str]
    ) -> list[Array]:
        """Compute the named outputs, as an engine does."""


class ServableRunner:
    """A runner of a servable that does not block the event loop and measures the run.

    Args:
        servable: the servable, acquired by the request.
        threads: the threads that run it, unless it has threads of its own for batches.
        latency: records the time of a run.
        api: the name under which it is recorded.
        checks_method_names: as in `Runner`.
    """

    def __init__(
        self,
        servable: Servable,
        threads: Executor,
        latency: Histogram,
        api: str,
        *,
        checks_method_names: bool = False,
    ) -> None:
        self.checks_method_names = checks_method_names
        self._servable = servable
        self._threads = threads
        self._latency = latency
        # Runtime "TF1": the original's name for the session that runs its models.
        self._labels = (servable.name, api, "TF1")

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._servable.engine.signatures

    @property
    def refused(self) -> Mapping[str, str]:
        return self._servable.engine.refused

    @property
    def signature_def_map(self) -> bytes:
        return self._servable.engine.signature_def_map

    async def run(
        self, signature_name: str, inputs: Mapping[str, Array], outputs: Sequence[str]
    ) -> list[Array]:
        began = time.perf_counter()
        engine = self._servable.engine
        cancellation = Cancellation(DEADLINE.get())
        try:
            if isinstance(engine, BatchingEngine):
                results = await engine.submit(signature_name, inputs, outputs, cancellation)
            else:
                loop = asyncio.get_running_loop()
                results = await loop.run_in_executor(
                    self._threads, self._servable.run, signature_name, inputs, outputs, cancellation
                )
        except asyncio.CancelledError:
            cancellation.cancel()  # otherwise it would occupy its thread until its end
            raise
        self._latency.observe(time.perf_counter() - began, *self._labels)
        return results


class Immediate:
    """A runner that runs at once in the caller's thread.

    Args:
        engine: the engine.
        checks_method_names: as in `Runner`.
    """

    def __init__(self, engine: Engine, *, checks_method_names: bool = False) -> None:
        self.checks_method_names = checks_method_names
        self._engine = engine

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._engine.signatures

    @property
    def refused(self) -> Mapping[str, str]:
        return self._engine.refused

    @property
    def signature_def_map(self) -> bytes:
        return self._engine.signature_def_map

    async def run(
        self, signature_name: str, inputs: Mapping[str, Array], outputs: Sequence[str]
    ) -> list[Array]:
        return self._engine.run(signature_name, inputs, outputs)
