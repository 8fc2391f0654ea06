"""Waiting: it blocks the thread of a `Client` and suspends the task of an `AsyncClient`."""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from keras_dl_serving.errors import DeadlineExceededError, InvalidRequestError, Request

# The most calls of a client in flight; further calls are queued here. Over REST each has a connection, and a
# gRPC server with 1,000 queued calls cancels some of the next.
AT_ONCE = 100
_LONGEST_SECONDS = 1e8  # three years; the limits of gRPC and of locks are not much higher


def checked_timeout(timeout: float | None, request: Request | None = None) -> float | None:
    """Return a timeout in seconds; None also for one beyond all clocks.

    Raises:
        InvalidRequestError: it is not a number above 0.
    """
    if timeout is None:
        return None
    try:
        seconds = float(timeout)
    except (TypeError, ValueError):
        seconds = math.nan
    if not seconds > 0:
        raise InvalidRequestError(
            f"timeout: expected seconds above 0, or None, got {timeout!r}.", request=request
        )
    return None if seconds > _LONGEST_SECONDS else seconds


def deadline_after(timeout: float | None) -> float | None:
    """Return the deadline of a call by `time.monotonic`; None for no limit."""
    return None if timeout is None else time.monotonic() + timeout


def seconds_until(deadline: float | None) -> float | None:
    """Return the seconds until the deadline, at least 1 ms."""
    return None if deadline is None else max(deadline - time.monotonic(), 0.001)


async def sleep(seconds: float, *, blocking: bool) -> None:
    """Wait for so many seconds."""
    if blocking:
        time.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


def deadline_exceeded(seconds: float | None, request: Request) -> DeadlineExceededError:
    """Return the error of a call whose deadline passed before the answer."""
    return DeadlineExceededError(f"No answer within {seconds or 0:.3g} seconds", request=request)


class Slots:
    """A limit on the calls in flight; further calls are queued.

    An interrupt (Ctrl-C) may come at any point of a blocking call and must not lose its slot. The semaphore
    of `threading` is written in Python and stays locked after an interrupt at the wrong moment; a queue is
    one step.

    Args:
        count: the limit.
        blocking: whether threads call, instead of tasks of one event loop.
    """

    def __init__(self, count: int, *, blocking: bool) -> None:
        self._free: SimpleQueue[_Slot] | None = SimpleQueue() if blocking else None
        self._semaphore = asyncio.Semaphore(count)
        if self._free is not None:
            for _ in range(count):
                self._free.put(_Slot(weakref.ref(self._free)))

    @asynccontextmanager
    async def taken(self, seconds: float | None, request: Request) -> AsyncIterator[None]:
        """Hold a slot for the block.

        Raises:
            DeadlineExceededError: no slot was free before the deadline.
        """
        if self._free is not None:
            try:
                slot = self._free.get(timeout=seconds)
            except Empty:
                raise deadline_exceeded(seconds, request) from None
            try:
                yield
            finally:
                del slot  # whatever still refers to this frame, such as a traceback
        else:
            try:
                async with asyncio.timeout(seconds):
                    await self._semaphore.acquire()
            except TimeoutError:
                raise deadline_exceeded(seconds, request) from None
            try:
                yield
            finally:
                self._semaphore.release()


@dataclass(slots=True)
class _Slot:
    """The permission for one call, which returns to its queue when nothing refers to it."""

    _free: weakref.ref[SimpleQueue[_Slot]]

    def __del__(self) -> None:
        if (free := self._free()) is not None:
            free.put(_Slot(self._free))
