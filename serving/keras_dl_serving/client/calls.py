"""The calls of a client, implemented once for both clients.

They are coroutines over a transport. `AsyncClient` awaits them; `Client` gives them a transport that blocks
instead of suspending, so that they finish at the first step.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from keras_dl_export.dtypes import Array
from keras_dl_serving.client.example_features import Examples, examples_of
from keras_dl_serving.client.inputs import prepare
from keras_dl_serving.client.metadata import MetadataCache
from keras_dl_serving.client.transport import (
    Classification,
    ModelMetadata,
    StaleSignature,
    Transport,
    VersionStatus,
)
from keras_dl_serving.client.waiting import checked_timeout, deadline_after, seconds_until, sleep
from keras_dl_serving.errors import (
    CancelledError,
    ConnectionFailedError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    Request,
    UnavailableError,
)
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE, Signature

_Result = TypeVar("_Result")
_POLL_SECONDS = 0.1
_BACK_OFF_SECONDS = 0.1  # before the first retry, doubled before each further one
_MAX_BACK_OFF_SECONDS = 5.0
_TASKS = ("classify", "regress")


class Calls:
    """The calls of one client, in one process and event loop.

    Args:
        url: the server's.
        transport: REST or gRPC.
        timeout: seconds for a call that does not give its own.
        retries: retries of a call if the server is unreachable or busy.
    """

    def __init__(self, url: str, transport: Transport, timeout: float | None, retries: int) -> None:
        if retries < 0:
            raise ValueError(f"retries: expected 0 or more, got {retries}. 0 tries once.")
        self._url = url
        self._transport = transport
        self._timeout = checked_timeout(timeout)
        self._retries = retries
        self._closed = False
        self._metadata = MetadataCache(
            lambda request, deadline: self._retrying(request, self._transport.metadata, deadline),
            keep_seconds=transport.keep_seconds,
            blocking=transport.blocking,
        )

    async def predict(
        self, request: Request, inputs: Any, outputs: Sequence[str] | str | None, timeout: float | None
    ) -> dict[str, Array]:
        """Check the inputs, send them, return the outputs."""
        deadline = self._deadline(request, timeout)
        if isinstance(outputs, str):
            outputs = [outputs]
        was_known = self._metadata.known(request) is not None
        with attach_request(request):
            metadata = await self._metadata.get(request, deadline)
            try:
                return await self._predict(request, metadata, inputs, outputs, deadline)
            except (
                InvalidRequestError,
                InvalidArgumentError,
                FailedPreconditionError,
                StaleSignature,
            ) as error:
                # The model may have a newer version with another signature. If the metadata is recent, only
                # an answer that does not fit it tells.
                if not was_known and not isinstance(error, StaleSignature):
                    raise
                newer = await self._metadata.get(request, deadline, other_than=metadata)
                if newer.signatures == metadata.signatures:
                    raise
            return await self._predict(request, newer, inputs, outputs, deadline)

    async def _predict(
        self,
        request: Request,
        metadata: ModelMetadata,
        inputs: Any,
        outputs: Sequence[str] | None,
        deadline: float | None,
    ) -> dict[str, Array]:
        signature = _signature(metadata, request.signature_name or DEFAULT_SIGNATURE)
        _check_outputs(signature, outputs)
        arrays = prepare(inputs, signature)
        wanted = None if outputs is None else list(dict.fromkeys(outputs))
        results, version = await self._retrying(
            request,
            lambda request, seconds: self._transport.predict(request, arrays, signature, wanted, seconds),
            deadline,
        )
        if version not in (None, metadata.version):
            self._metadata.forget(request)
        return results

    async def _retrying(
        self,
        request: Request,
        ask: Callable[[Request, float | None], Awaitable[_Result]],
        deadline: float | None,
    ) -> _Result:
        """Call, and retry if the server is unreachable or busy: for calls that change nothing on it."""
        for attempt in itertools.count():
            self._check_open(request)
            try:
                return await ask(request, seconds_until(deadline))
            except (
                ConnectionFailedError,
                UnavailableError,
                CancelledError,
            ):  # a full server cancels calls over gRPC
                pause = min(_BACK_OFF_SECONDS * 2**attempt, _MAX_BACK_OFF_SECONDS)
                pause *= random.uniform(0.5, 1.0)  # many clients must not retry at the same moment
                if attempt >= self._retries or (deadline is not None and time.monotonic() + pause > deadline):
                    raise
            await self._sleep(pause)
        raise AssertionError("unreachable")

    async def classify(
        self, request: Request, examples: Any, context: Any, timeout: float | None
    ) -> list[Classification]:
        """Return the labels and scores of examples."""
        sent = _examples(request, examples, context)
        return await self._retrying(
            request,
            lambda request, seconds: self._transport.classify(request, sent, seconds),
            self._deadline(request, timeout),
        )

    async def regress(self, request: Request, examples: Any, context: Any, timeout: float | None) -> Array:
        """Return the values of examples."""
        sent = _examples(request, examples, context)
        return await self._retrying(
            request,
            lambda request, seconds: self._transport.regress(request, sent, seconds),
            self._deadline(request, timeout),
        )

    async def multi_inference(
        self, request: Request, tasks: Mapping[str, str], examples: Any, context: Any, timeout: float | None
    ) -> dict[str, list[Classification] | Array]:
        """Run several signatures on the same examples."""
        if not tasks or set(tasks.values()) - set(_TASKS) or not all(map(is_text, tasks)):
            raise InvalidRequestError(
                f"tasks: expected signature names, each with 'classify' or 'regress', got {dict(tasks)!r}.",
                request=request,
            )
        sent = _examples(request, examples, context)
        return await self._retrying(
            request,
            lambda request, seconds: self._transport.multi_inference(request, tasks, sent, seconds),
            self._deadline(request, timeout),
        )

    async def reload_config(
        self, request: Request, config: str, metric_names: Sequence[str], timeout: float | None
    ) -> dict[str, int]:
        """Replace the served models. It is never retried, as the first try may have succeeded."""
        seconds = seconds_until(self._deadline(request, timeout))
        for name, text in (("config", config), *(("metric_names", each) for each in metric_names)):
            if not is_text(text):
                raise InvalidRequestError(f"{name}: expected text, got {text!r:.80}.", request=request)
        self._check_open(request)
        return await self._transport.reload_config(request, config, metric_names, seconds)

    async def metadata(self, request: Request, timeout: float | None) -> ModelMetadata:
        """Return the signatures of a model."""
        return await self._retrying(request, self._transport.metadata, self._deadline(request, timeout))

    async def status(self, request: Request, timeout: float | None) -> list[VersionStatus]:
        """Return the versions of a model."""
        return await self._retrying(request, self._transport.status, self._deadline(request, timeout))

    async def models(self, request: Request, timeout: float | None) -> list[str]:
        """Return the names of the models."""
        return await self._retrying(request, self._transport.models, self._deadline(request, timeout))

    async def wait_ready(self, request: Request, timeout: float | None) -> None:
        """Wait until the model, or without one the server, answers."""
        timeout = 0.0 if timeout == 0 else checked_timeout(timeout, request)
        deadline = deadline_after(timeout)
        while True:
            self._check_open(request)
            left = math.inf if deadline is None else max(deadline - time.monotonic(), _POLL_SECONDS)
            seconds = min(left, self._timeout or math.inf)  # a server may start to answer between two tries
            try:
                problem = await self._not_ready(request, seconds if seconds < math.inf else None)
            except (NotFoundError, UnavailableError, DeadlineExceededError, ConnectionFailedError) as error:
                problem = error.message
            except InvalidArgumentError as error:
                if request.label is None:
                    raise
                problem = error.message  # a label that is not there yet
            if not problem:
                return
            if deadline is not None and time.monotonic() > deadline:
                raise NotReadyError(f"Not ready within {timeout:g} seconds: {problem}", request=request)
            await self._sleep(_POLL_SECONDS)

    async def _not_ready(self, request: Request, timeout: float | None) -> str:
        """Return the reason why the model is not ready; empty if it is."""
        if request.model is None:
            with suppress(NotFoundError):  # is an answer too
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

    def _deadline(self, request: Request, timeout: float | None) -> float | None:
        """Return the deadline of a call: by its own timeout, or the client's."""
        return deadline_after(self._timeout if timeout is None else checked_timeout(timeout, request))

    async def _sleep(self, seconds: float) -> None:
        await sleep(seconds, blocking=self._transport.blocking)

    def _check_open(self, request: Request) -> None:
        if self._closed:
            raise InvalidRequestError("The client is closed. Create a new one.", request=request)

    async def close(self) -> None:
        """Close connections."""
        self._closed = True
        await self._transport.close()


@contextmanager
def attach_request(request: Request) -> Iterator[None]:
    """Attach the request to the errors of the block."""
    try:
        yield
    except StaleSignature as error:
        raise InternalError(
            f"The outputs do not fit the model's metadata: {error}", request=request
        ) from error
    except InvalidRequestError as error:
        error.request = error.request or request
        raise


def is_text(text: object) -> bool:
    """Return whether a value is text that can be sent, which half a surrogate pair is not."""
    return isinstance(text, str) and not any("\ud800" <= each <= "\udfff" for each in text)


def _examples(request: Request, examples: Any, context: Any) -> Examples:
    with attach_request(request):
        return examples_of(examples, context)


def _signature(metadata: ModelMetadata, name: str) -> Signature:
    if name in metadata.unreadable:
        raise InvalidRequestError(f"signature_name: {name!r} cannot be called: {metadata.unreadable[name]}.")
    if name not in metadata.signatures:
        known = ", ".join(map(repr, metadata.signatures)) or "(the model has none)"
        raise InvalidRequestError(f"signature_name: expected one of {known}, got {name!r}.")
    return metadata.signatures[name]


def _check_outputs(signature: Signature, outputs: Sequence[str] | None) -> None:
    unknown = sorted(set(outputs or ()) - signature.outputs.keys())
    if unknown:
        raise InvalidRequestError(
            f"outputs: expected names among {', '.join(map(repr, signature.outputs))}, got "
            f"{', '.join(map(repr, unknown))}."
        )


def text_of(config: str | PathLike[str]) -> str:
    """Return the text of a configuration: the string itself, or the content of a file."""
    return config if isinstance(config, str) else Path(config).read_text()
