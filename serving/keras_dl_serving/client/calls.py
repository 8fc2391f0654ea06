"""What the calls of a client do, once for both clients.

Everything here is written as coroutines over a transport. `AsyncClient` awaits them; `Client` gives them a
transport that blocks instead of suspending, so that they run to their end at the first step (see
`run_to_end`).
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from keras_dl_serving.client.examples import Examples, examples_of
from keras_dl_serving.client.inputs import prepare
from keras_dl_serving.client.transport import (
    Classification,
    Connection,
    ModelMetadata,
    StaleSignature,
    Transport,
    VersionStatus,
)
from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
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
_BACK_OFF_SECONDS = 0.1  # before the first retry; twice as long before each further one
_MAX_BACK_OFF_SECONDS = 5.0
_TASKS = ("classify", "regress")


def run_to_end(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: _Result = finished.value
        return result
    raise AssertionError("a blocking transport has suspended")


def open_transport(url: str, connection: Connection, *, blocking: bool) -> Transport:
    """The transport for a URL.

    Raises:
        ValueError: the URL is neither for REST nor for gRPC, or it is without TLS and certificates are given.
        OSError: a certificate cannot be read.
    """
    parts = urlsplit(url)
    rest = parts.scheme in ("http", "https") and parts.hostname
    grpc = (parts.scheme in ("grpc", "grpcs") and parts.hostname) or (parts.scheme == "unix" and parts.path)
    if not rest and not grpc:
        raise ValueError(
            f"url must say how to ask, http://HOST:PORT for REST or grpc://HOST:PORT for gRPC (https and "
            f"grpcs with TLS, unix:///PATH for gRPC on a socket), but is {url!r}."
        )
    _ = parts.port  # raises ValueError for what is no port
    if connection.names_files and parts.scheme not in ("https", "grpcs"):
        raise ValueError(
            f"ca_file, cert_file, key_file: expected a URL with TLS, got {url!r}. Write https:// or grpcs://."
        )
    if bool(connection.cert_file) != bool(connection.key_file):
        raise ValueError(
            "cert_file, key_file: expected both or neither, got one of them. Give the other, too."
        )
    if rest:
        from keras_dl_serving.client.rest import RestTransport

        return RestTransport(url, connection, blocking=blocking)
    from keras_dl_serving.client.grpc import GrpcTransport

    return GrpcTransport(url, connection, blocking=blocking)


class Calls:
    """The calls of one client.

    Args:
        url: where the server is.
        transport: how it is asked.
        timeout: seconds for a call that does not give its own.
        retries: further tries of a call when the server is away or busy.
    """

    def __init__(self, url: str, transport: Transport, timeout: float | None, retries: int) -> None:
        if retries < 0:
            raise ValueError(f"retries: expected 0 or more, got {retries}. 0 tries once.")
        self._url = url
        self._transport = transport
        self._timeout = timeout
        self._retries = retries
        self._metadata: dict[tuple[str | None, int | None, str | None], ModelMetadata] = {}
        self._deadline(timeout)

    async def predict(
        self, request: Request, inputs: Any, outputs: Sequence[str] | None, timeout: float | None
    ) -> dict[str, Array]:
        """Check the inputs, send them, return the outputs."""
        try:
            return await self._predict(request, inputs, outputs, self._deadline(timeout))
        except StatusError:
            # The signature may have been an old version's: look again next time.
            self._metadata.pop(_key(request), None)
            raise
        except InvalidRequest as error:
            error.request = request
            raise

    async def _predict(
        self, request: Request, inputs: Any, outputs: Sequence[str] | None, deadline: float | None
    ) -> dict[str, Array]:
        was_cached = _key(request) in self._metadata
        metadata = await self._cached_metadata(request, deadline)
        try:
            signature = _signature(metadata, request.signature_name or DEFAULT_SIGNATURE)
            _check_outputs(signature, outputs)
            arrays = prepare(inputs, signature)
            results, version = await self._retrying(
                lambda seconds: self._transport.predict(request, arrays, signature, seconds), deadline
            )
        except (InvalidRequest, StaleSignature) as error:
            if was_cached:
                # The model may have a newer version with another signature.
                self._metadata.pop(_key(request), None)
                return await self._predict(request, inputs, outputs, deadline)
            if isinstance(error, StaleSignature):
                raise Internal(
                    f"The outputs do not fit the model's metadata: {error}", request=request
                ) from error
            raise
        if version not in (None, metadata.version):
            self._metadata.pop(_key(request), None)
        return results if outputs is None else {name: results[name] for name in outputs}

    async def _cached_metadata(self, request: Request, deadline: float | None) -> ModelMetadata:
        metadata = self._metadata.get(_key(request))
        if metadata is None:
            asked = replace(request, signature_name=None)
            metadata = self._metadata[_key(request)] = await self._retrying(
                lambda seconds: self._transport.metadata(asked, seconds), deadline
            )
        return metadata

    async def _retrying(
        self, ask: Callable[[float | None], Awaitable[_Result]], deadline: float | None
    ) -> _Result:
        """Ask, and again if the server is away or busy: for calls that change nothing on the server."""
        for attempt in itertools.count():
            try:
                return await ask(_seconds_until(deadline))
            except (ConnectionFailed, Unavailable):
                pause = min(_BACK_OFF_SECONDS * 2**attempt, _MAX_BACK_OFF_SECONDS)
                pause *= random.uniform(0.5, 1.0)  # many clients must not come back all at once
                if attempt >= self._retries or (deadline is not None and time.monotonic() + pause > deadline):
                    raise
            await self._transport.sleep(pause)
        raise AssertionError("unreachable")

    async def classify(
        self, request: Request, examples: Any, context: Any, timeout: float | None
    ) -> list[Classification]:
        """Labels and scores of examples."""
        sent = _examples(request, examples, context)
        return await self._retrying(
            lambda seconds: self._transport.classify(request, sent, seconds), self._deadline(timeout)
        )

    async def regress(self, request: Request, examples: Any, context: Any, timeout: float | None) -> Array:
        """Values of examples."""
        sent = _examples(request, examples, context)
        return await self._retrying(
            lambda seconds: self._transport.regress(request, sent, seconds), self._deadline(timeout)
        )

    async def multi_inference(
        self, request: Request, tasks: Mapping[str, str], examples: Any, context: Any, timeout: float | None
    ) -> dict[str, list[Classification] | Array]:
        """Several signatures on the same examples."""
        if not tasks or set(tasks.values()) - set(_TASKS):
            raise InvalidRequest(
                f"tasks: expected signature names, each with 'classify' or 'regress', got {dict(tasks)!r}.",
                request=request,
            )
        sent = _examples(request, examples, context)
        return await self._retrying(
            lambda seconds: self._transport.multi_inference(request, tasks, sent, seconds),
            self._deadline(timeout),
        )

    async def reload_config(
        self, request: Request, config: str, metric_names: Sequence[str], timeout: float | None
    ) -> dict[str, int]:
        """Serve what a configuration says. Never tried again: the first try may have worked."""
        seconds = _seconds_until(self._deadline(timeout))
        return await self._transport.reload_config(request, config, metric_names, seconds)

    async def metadata(self, request: Request, timeout: float | None) -> ModelMetadata:
        """What a model offers."""
        return await self._retrying(
            lambda seconds: self._transport.metadata(request, seconds), self._deadline(timeout)
        )

    async def status(self, request: Request, timeout: float | None) -> list[VersionStatus]:
        """The versions of a model."""
        return await self._retrying(
            lambda seconds: self._transport.status(request, seconds), self._deadline(timeout)
        )

    async def models(self, request: Request, timeout: float | None) -> list[str]:
        """The names of the models."""
        return await self._retrying(
            lambda seconds: self._transport.models(request, seconds), self._deadline(timeout)
        )

    async def wait_ready(self, request: Request, timeout: float) -> None:
        """Wait until the model, or without one the server, answers."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                problem = await self._not_ready(request, max(deadline - time.monotonic(), _POLL_SECONDS))
            except (NotFound, Unavailable, DeadlineExceeded, ConnectionFailed) as error:
                problem = error.message
            except InvalidArgument as error:
                if request.label is None:
                    raise
                problem = error.message  # a label that is not there yet
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
        if request.label is not None:
            # TensorFlow Serving's status ignores labels; its metadata comes only from what is available.
            await self._transport.metadata(request, timeout)
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
        if model is not None and (not isinstance(model, str) or not model):
            given = "empty" if model == "" else repr(model)
            raise InvalidRequest(f"model must be the name of a model, but is {given}.", request=request)
        if version is not None and (not isinstance(version, int | np.integer) or not 0 <= version < 2**63):
            raise InvalidRequest(f"version must be a whole number, but is {version!r}.", request=request)
        return request

    def _deadline(self, timeout: float | None) -> float | None:
        """When a call must have its answer: after its own timeout, or the client's."""
        timeout = self._timeout if timeout is None else timeout
        if timeout is not None and not timeout > 0:
            raise InvalidRequest(f"timeout: expected seconds above 0, or None, got {timeout}.")
        return None if timeout is None else time.monotonic() + timeout

    async def close(self) -> None:
        """Close connections."""
        await self._transport.close()


def _seconds_until(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.001)


def _examples(request: Request, examples: Any, context: Any) -> Examples:
    try:
        return examples_of(examples, context)
    except InvalidRequest as error:
        error.request = request
        raise


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
