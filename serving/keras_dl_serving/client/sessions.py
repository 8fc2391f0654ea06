"""Sessions of a client: each process, and each event loop in it, has connections of its own.

A socket shared by two processes may deliver one's answer to the other, and the connections of an event loop
end with it. So a client holds its configuration, which can be copied and pickled, and opens a session in each
process and event loop that uses it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keras_dl_serving.client.calls import Calls, is_text
from keras_dl_serving.client.opening import open_transport
from keras_dl_serving.client.transport import Connection
from keras_dl_serving.coroutines import run_to_end
from keras_dl_serving.errors import InvalidRequestError, Request


@dataclass(frozen=True)
class ClientSettings:
    """The settings of a client.

    Attributes:
        url: the server's.
        connection: TLS and headers.
        timeout: seconds for a call, unless it sets its own.
        retries: retries of a call if the server is unreachable or busy.
        blocking: whether calls block a thread instead of suspending a task.
    """

    url: str
    connection: Connection
    timeout: float | None
    retries: int
    blocking: bool

    def open(self) -> Calls:
        """Make a session, which connects at its first call."""
        transport = open_transport(self.url, self.connection, blocking=self.blocking)
        return Calls(self.url, transport, self.timeout, self.retries)


class _Place(NamedTuple):
    process: int
    loop: asyncio.AbstractEventLoop | None


class _Session(NamedTuple):
    calls: Calls
    lifetime: AsyncGenerator[None, None] | None  # closes the calls when their loop ends


class Sessions:
    """The sessions of one client.

    Args:
        settings: the client's.

    Raises:
        ValueError: they contradict each other or cannot be used.
        OSError: a certificate or key cannot be read.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._closed = False
        self._opened: dict[_Place, _Session] = {}
        self._unused = [settings.open()]  # checks the settings; the first session uses it

    def __getstate__(self) -> tuple[ClientSettings, bool]:
        return self._settings, self._closed

    def __setstate__(self, state: tuple[ClientSettings, bool]) -> None:
        self._settings, self._closed = state
        self._opened, self._unused = {}, []

    def here(self, request: Request) -> Calls:
        """Return the session of this process and event loop.

        Raises:
            InvalidRequestError: the client is closed, or its configuration cannot be used here.
        """
        place = _Place(os.getpid(), None if self._settings.blocking else asyncio.get_running_loop())
        if session := self._opened.get(place):
            return session.calls
        self._check_open(request)
        for other in list(self._opened):
            if other.loop and other.loop.is_closed():
                self._opened.pop(other, None)
        calls = self._open(request)
        session = _Session(calls, None if place.loop is None else self._lifetime(place, calls))
        kept = self._opened.setdefault(place, session)  # another thread may have been first
        if kept is session and session.lifetime:
            run_to_end(session.lifetime.__anext__())  # now the loop knows it
        return kept.calls

    def _open(self, request: Request) -> Calls:
        try:
            return self._unused.pop()
        except IndexError:
            pass
        try:
            return self._settings.open()
        except (ValueError, OSError) as error:  # after a fork or on another machine, files may be missing
            raise InvalidRequestError(
                f"The client cannot be opened in this process: {error}", request=request
            ) from error

    async def _lifetime(self, place: _Place, calls: Calls) -> AsyncGenerator[None, None]:
        """Close the calls with the loop, which closes its asynchronous generators before it ends."""
        try:
            yield
        finally:
            self._opened.pop(place, None)
            await calls.close()

    def request(
        self,
        method: str,
        model: str | None,
        version: int | None,
        label: str | None,
        signature_name: str | None = None,
    ) -> Request:
        """Return a request after all checks that do not need the server.

        Raises:
            InvalidRequestError: a version and a label are passed, one is invalid, or the client is closed.
        """
        request = Request(method, self._settings.url, model, version, label, signature_name)
        self._check_open(request)
        if version is not None and label is not None:
            raise InvalidRequestError(
                "version, label: expected one of them, got both. Pass one.", request=request
            )
        for name, text, what in (("model", model, "model"), ("label", label, "version")):
            if text is not None and (not is_text(text) or not text):
                given = "an empty text" if text == "" else repr(text)
                raise InvalidRequestError(
                    f"{name}: expected the name of a {what}, got {given}.", request=request
                )
        if signature_name is not None and not is_text(signature_name):
            raise InvalidRequestError(
                f"signature_name: expected the name of a signature, got {signature_name!r}.", request=request
            )
        if version is not None and (not isinstance(version, int | np.integer) or not 0 <= version < 2**63):
            raise InvalidRequestError(f"version: expected a whole number, got {version!r}.", request=request)
        return request

    def _check_open(self, request: Request) -> None:
        if self._closed:
            raise InvalidRequestError("The client is closed. Create a new one.", request=request)

    async def close(self) -> None:
        """Close the connections of this process, but not those of the process that it was forked from."""
        self._closed = True
        here = None if self._settings.blocking else asyncio.get_running_loop()
        for place, session in list(self._opened.items()):
            if place.process != os.getpid():
                continue
            if session.lifetime is None:
                await session.calls.close()
            elif place.loop is here:
                await session.lifetime.aclose()
            elif place.loop and place.loop.is_running():
                asyncio.run_coroutine_threadsafe(session.lifetime.aclose(), place.loop)
