"""What the calls of a client do, once for both clients.

Everything here is written as coroutines over a transport. `AsyncClient` awaits them; `Client` gives them a
transport that blocks instead of suspending, so that they run to their end at the first step (see
`run_to_end`).
"""

from __future__ import annotations

import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from keras_dl_serving.client.inputs import prepare
from keras_dl_serving.client.transport import ModelMetadata, StaleSignature, Transport, VersionStatus
from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    Internal,
    InvalidRequest,
    NotFound,
    NotReady,
    Request,
    StatusError,
    Unavailable,
)
from keras_dl_serving.signatures import DEFAULT_SIGNATURE, Signature

_Result = TypeVar("_Result")
_POLL_SECONDS = 0.1


def run_to_end(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: _Result = finished.value
        return result
    raise AssertionError("a blocking transport has suspended")


def open_transport(url: str, *, blocking: bool) -> Transport:
    """The transport for a URL.

    Raises:
        ValueError: the URL is neither for REST nor for gRPC.
    """
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.netloc:
        from keras_dl_serving.client.rest import RestTransport

        return RestTransport(url, blocking=blocking)
    if parts.scheme in ("grpc", "grpcs") and parts.netloc:
        from keras_dl_serving.client.grpc import GrpcTransport

        return GrpcTransport(url, blocking=blocking)
    raise ValueError(
        f"url must say how to ask, http://HOST:PORT for REST or grpc://HOST:PORT for gRPC (https and grpcs "
        f"with TLS), but is {url!r}."
    )


class Calls:
    """The calls of one client."""

    def __init__(self, url: str, transport: Transport, timeout: float | None) -> None:
        self._url = url
        self._transport = transport
        self._timeout = timeout
        self._metadata: dict[tuple[str | None, int | None, str | None], ModelMetadata] = {}

    async def predict(
        self, request: Request, inputs: Any, outputs: Sequence[str] | None, timeout: float | None
    ) -> dict[str, Array]:
        """Check the inputs, send them, return the outputs."""
        try:
            return await self._predict(request, inputs, outputs, timeout)
        except StatusError:
            # The signature may have been an old version's: look again next time.
            self._metadata.pop(_key(request), None)
            raise
        except InvalidRequest as error:
            error.request = request
            raise

    async def _predict(
        self, request: Request, inputs: Any, outputs: Sequence[str] | None, timeout: float | None
    ) -> dict[str, Array]:
        was_cached = _key(request) in self._metadata
        metadata = await self._cached_metadata(request, timeout)
        try:
            signature = _signature(metadata, request.signature_name or DEFAULT_SIGNATURE)
            _check_outputs(signature, outputs)
            arrays = prepare(inputs, signature)
            results, version = await self._transport.predict(request, arrays, signature, timeout)
        except (InvalidRequest, StaleSignature) as error:
            if was_cached:
                # The model may have a newer version with another signature.
                self._metadata.pop(_key(request), None)
                return await self._predict(request, inputs, outputs, timeout)
            if isinstance(error, StaleSignature):
                raise Internal(
                    f"The outputs do not fit the model's metadata: {error}", request=request
                ) from error
            raise
        if version not in (None, metadata.version):
            self._metadata.pop(_key(request), None)
        return results if outputs is None else {name: results[name] for name in outputs}

    async def _cached_metadata(self, request: Request, timeout: float | None) -> ModelMetadata:
        metadata = self._metadata.get(_key(request))
        if metadata is None:
            asked = replace(request, signature_name=None)
            metadata = self._metadata[_key(request)] = await self._transport.metadata(asked, timeout)
        return metadata

    async def metadata(self, request: Request, timeout: float | None) -> ModelMetadata:
        """What a model offers."""
        return await self._transport.metadata(request, timeout)

    async def status(self, request: Request, timeout: float | None) -> list[VersionStatus]:
        """The versions of a model."""
        return await self._transport.status(request, timeout)

    async def models(self, request: Request, timeout: float | None) -> list[str]:
        """The names of the models."""
        return await self._transport.models(request, timeout)

    async def wait_ready(self, request: Request, timeout: float) -> None:
        """Wait until the model, or without one the server, answers."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                problem = await self._not_ready(request, max(deadline - time.monotonic(), _POLL_SECONDS))
            except (NotFound, Unavailable, DeadlineExceeded, ConnectionFailed) as error:
                problem = error.message
            if not problem:
                return
            if time.monotonic() > deadline:
                raise NotReady(f"Not ready within {timeout:g} seconds: {problem}", request=request)
            await self._transport.sleep(_POLL_SECONDS)

    async def _not_ready(self, request: Request, timeout: float) -> str:
        """What is missing until the model answers; empty when it does."""
        if request.model is None:
            with suppress(NotFound):  # is an answer too
                await self._transport.status(replace(request, model="-"), timeout)
            return ""
        versions = await self._transport.status(request, timeout)
        if any(version.available for version in versions):
            return ""
        return ", ".join(
            f"version {version.version} is in state "
            f"{version.state}{f' ({version.error})' if version.error else ''}"
            for version in versions
        )

    def request(
        self,
        method: str,
        model: str | None,
        version: int | None,
        label: str | None,
        signature_name: str | None = None,
    ) -> Request:
        """A request, checked as far as it can be without asking.

        Raises:
            InvalidRequest: both a version and a label.
        """
        request = Request(method, self._url, model, version, label, signature_name)
        if version is not None and label is not None:
            raise InvalidRequest("version and label are both given: give one of them.", request=request)
        if model == "":
            raise InvalidRequest("model must be the name of a model, but is empty.", request=request)
        return request

    def timeout(self, timeout: float | None) -> float | None:
        """The timeout of a call: its own, or the client's."""
        return self._timeout if timeout is None else timeout

    async def close(self) -> None:
        """Close connections."""
        await self._transport.close()


def _key(request: Request) -> tuple[str | None, int | None, str | None]:
    return (request.model, request.version, request.label)


def _signature(metadata: ModelMetadata, name: str) -> Signature:
    if name not in metadata.signatures:
        known = ", ".join(map(repr, metadata.signatures)) or "(the model has none)"
        raise InvalidRequest(f"signature_name must be one of {known}, but is {name!r}.")
    return metadata.signatures[name]


def _check_outputs(signature: Signature, outputs: Sequence[str] | None) -> None:
    unknown = sorted(set(outputs or ()) - signature.outputs.keys())
    if unknown:
        raise InvalidRequest(
            f"outputs must be among {', '.join(map(repr, signature.outputs))}, but has "
            f"{', '.join(map(repr, unknown))}."
        )
