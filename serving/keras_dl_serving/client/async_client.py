"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from copy import copy
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Self

from keras_dl_export.dtypes import Array
from keras_dl_serving.client.batches import Batches, batches_of, show_progress
from keras_dl_serving.client.calls import text_of
from keras_dl_serving.client.client import Inputs
from keras_dl_serving.client.opening import StrPath, connection_of
from keras_dl_serving.client.sessions import ClientSettings, Sessions
from keras_dl_serving.client.transport import Classification, ModelMetadata, VersionStatus
from keras_dl_serving.errors import Request
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE
from keras_dl_serving.tls import TLS

_END = object()


class AsyncClient:
    """A `Client` for asyncio: the same arguments, and the same methods as coroutines.

        async with AsyncClient("grpc://localhost:8500") as client:
            await client.predict("digits", {"image": images})

    Each event loop that uses it has connections of its own, which are closed with the loop.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float | None = 60.0,
        retries: int = 2,
        tls: TLS | None = None,
        ca_file: StrPath | None = None,
        cert_file: StrPath | None = None,
        key_file: StrPath | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url
        connection = connection_of(tls, ca_file, cert_file, key_file, headers)
        self._sessions = Sessions(ClientSettings(url, connection, timeout, retries, blocking=False))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_sessions": copy(self._sessions)}  # a copy has sessions of its own

    async def predict(
        self,
        model: str,
        inputs: Inputs,
        *,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        outputs: Sequence[str] | str | None = None,
        timeout: float | None = None,
    ) -> dict[str, Array]:
        """Run a model; see `Client.predict`."""
        request = self._sessions.request("predict", model, version, label, signature_name)
        return await self._sessions.here(request).predict(request, inputs, outputs, timeout)

    def predict_batches(
        self,
        model: str,
        inputs: Iterable[Inputs] | AsyncIterable[Inputs] | Inputs,
        *,
        batch_size: int | None = None,
        in_flight: int = 4,
        progress: bool = False,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        outputs: Sequence[str] | str | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[dict[str, Array]]:
        """Run a model on many batches, by `async for`; see `Client.predict_batches`.

        `inputs` may also be an asynchronous iterable. Any other iterable is read in a thread, so that a slow
        source does not block the loop.
        """
        request = self._sessions.request("predict", model, version, label, signature_name)
        batches = batches_of(inputs, batch_size, in_flight, request, asynchronous=True)
        return self._stream(request, batches, in_flight, progress, outputs, timeout)

    async def _stream(
        self,
        request: Request,
        batches: Batches,
        in_flight: int,
        progress: bool,
        outputs: Sequence[str] | str | None,
        timeout: float | None,
    ) -> AsyncIterator[dict[str, Array]]:
        waiting: deque[asyncio.Task[dict[str, Array]]] = deque()
        with show_progress(progress, str(request.model), batches.count) as advance:
            try:
                async for batch in _in_turn(batches.each):
                    ask = self._sessions.here(request).predict(request, batch, outputs, timeout)
                    waiting.append(asyncio.create_task(ask))
                    if len(waiting) == in_flight:
                        answer = await waiting.popleft()
                        advance()
                        yield answer
                while waiting:
                    answer = await waiting.popleft()
                    advance()
                    yield answer
            finally:
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)

    async def classify(
        self,
        model: str,
        examples: Sequence[Mapping[str, Any]],
        *,
        context: Mapping[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        timeout: float | None = None,
    ) -> list[Classification]:
        """Classify examples; see `Client.classify`."""
        request = self._sessions.request("classify", model, version, label, signature_name)
        return await self._sessions.here(request).classify(request, examples, context, timeout)

    async def regress(
        self,
        model: str,
        examples: Sequence[Mapping[str, Any]],
        *,
        context: Mapping[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        timeout: float | None = None,
    ) -> Array:
        """Regress examples; see `Client.regress`."""
        request = self._sessions.request("regress", model, version, label, signature_name)
        return await self._sessions.here(request).regress(request, examples, context, timeout)

    async def multi_inference(
        self,
        model: str,
        examples: Sequence[Mapping[str, Any]],
        tasks: Mapping[str, Literal["classify", "regress"]],
        *,
        context: Mapping[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> dict[str, list[Classification] | Array]:
        """Run several signatures on the same examples; see `Client.multi_inference`."""
        request = self._sessions.request("multi_inference", model, version, label)
        return await self._sessions.here(request).multi_inference(request, tasks, examples, context, timeout)

    async def status(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> list[VersionStatus]:
        """Return the versions of a model; see `Client.status`."""
        request = self._sessions.request("status", model, version, label)
        return await self._sessions.here(request).status(request, timeout)

    async def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> ModelMetadata:
        """Return the signatures of a model; see `Client.metadata`."""
        request = self._sessions.request("metadata", model, version, label)
        return await self._sessions.here(request).metadata(request, timeout)

    async def models(self, *, timeout: float | None = None) -> list[str]:
        """Return the names of the models; see `Client.models`."""
        request = self._sessions.request("models", None, None, None)
        return await self._sessions.here(request).models(request, timeout)

    async def reload_config(
        self, config: str | PathLike[str], *, metric_names: Sequence[str] = (), timeout: float | None = None
    ) -> dict[str, int]:
        """Replace the models that the server serves; see `Client.reload_config`."""
        request = self._sessions.request("reload_config", None, None, None)
        calls = self._sessions.here(request)
        return await calls.reload_config(request, text_of(config), metric_names, timeout)

    async def wait_ready(
        self,
        model: str | None = None,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = 60.0,
    ) -> None:
        """Wait until a model is available, or the server answers; see `Client.wait_ready`."""
        request = self._sessions.request("status", model, version, label)
        await self._sessions.here(request).wait_ready(request, timeout)

    async def close(self) -> None:
        """Close the connections."""
        await self._sessions.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _in_turn(source: Iterator[Any] | AsyncIterator[Any]) -> AsyncIterator[Any]:
    if isinstance(source, AsyncIterator):
        async for batch in source:
            yield batch
    else:
        while (batch := await asyncio.to_thread(next, source, _END)) is not _END:
            yield batch
