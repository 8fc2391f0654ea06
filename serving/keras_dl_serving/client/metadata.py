"""A client's cache of the models' metadata."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from weakref import WeakValueDictionary

from keras_dl_serving.client.transport import ModelMetadata
from keras_dl_serving.client.waiting import Slots, seconds_until
from keras_dl_serving.errors import DeadlineExceededError, Request, ServingError

_Key = tuple[str | None, int | None, str | None]


class _Flight:
    """A request for metadata that many calls wait for."""

    def __init__(self, *, blocking: bool) -> None:
        self.turn = Slots(1, blocking=blocking)
        self.error: ServingError | None = None


class MetadataCache:
    """A cache of metadata. One call at a time fetches a model's; the others wait for it.

    Args:
        ask: fetches from the server, until a deadline.
        keep_seconds: how long metadata is valid; None until an answer contradicts it.
        blocking: whether threads call, instead of tasks of one event loop.
    """

    def __init__(
        self,
        ask: Callable[[Request, float | None], Awaitable[ModelMetadata]],
        *,
        keep_seconds: float | None,
        blocking: bool,
    ) -> None:
        self._ask = ask
        self._keep_seconds = keep_seconds
        self._blocking = blocking
        self._known: dict[_Key, tuple[ModelMetadata, float]] = {}
        # A flight lives as long as a call holds it.
        self._flights: WeakValueDictionary[_Key, _Flight] = WeakValueDictionary()
        self._flights_lock = threading.Lock()

    def known(self, request: Request, *, other_than: ModelMetadata | None = None) -> ModelMetadata | None:
        """Return the cached metadata of the request's model, unless it is `other_than`."""
        metadata, since = self._known.get(_key(request), (None, 0.0))
        if self._keep_seconds is not None and time.monotonic() - since > self._keep_seconds:
            return None
        return None if metadata is other_than else metadata

    async def get(
        self, request: Request, deadline: float | None, *, other_than: ModelMetadata | None = None
    ) -> ModelMetadata:
        """Return the metadata of the request's model.

        Args:
            request: a request to the model.
            deadline: the deadline, by `time.monotonic`.
            other_than: metadata that is outdated.

        Raises:
            ServingError: the request failed, in this call or in the call that made it for all.
        """
        if metadata := self.known(request, other_than=other_than):
            return metadata
        key, asked = _key(request), replace(request, signature_name=None)
        with self._flights_lock:
            flight = self._flights.setdefault(key, _Flight(blocking=self._blocking))
        async with flight.turn.taken(seconds_until(deadline), asked):
            if metadata := self.known(request, other_than=other_than):
                return metadata
            if flight.error:
                raise type(flight.error)(flight.error.message, request=asked) from flight.error
            try:
                metadata = await self._ask(asked, deadline)
            except DeadlineExceededError:  # the deadline of this call alone: others may have more time
                raise
            except ServingError as error:
                flight.error = error
                raise
            self._known[key] = (metadata, time.monotonic())
            return metadata

    def forget(self, request: Request) -> None:
        """Discard the metadata, so that the next call fetches it."""
        self._known.pop(_key(request), None)


def _key(request: Request) -> _Key:
    return (request.model, request.version, request.label)
