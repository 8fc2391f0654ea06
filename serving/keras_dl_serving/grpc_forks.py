"""Whether gRPC can be used in a forked process.

gRPC prepares for a fork unless a thread is in it at that moment: inside a blocking call, or polling for
`grpc.aio`, which a thread does for as long as there is a channel or server. Calls of a child forked then
may hang or end the process, and those over `grpc.aio` disturb the parent's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakSet

_User = TypeVar("_User")
_polled_for: WeakSet[object] = WeakSet()
_calls: set[object] = set()
_unusable = False


def polled_for(user: _User) -> _User:
    """Note a channel or server of `grpc.aio`, for as long as it exists."""
    _polled_for.add(user)
    return user


@contextmanager
def blocking_call() -> Iterator[None]:
    """Note that a thread is inside gRPC."""
    call = object()
    _calls.add(call)
    try:
        yield
    finally:
        _calls.discard(call)


def problem() -> str:
    """Why gRPC cannot be used in this process, and what to do; empty where it can."""
    if not _unusable:
        return ""
    return (
        "gRPC cannot be used in this process, which was forked while a gRPC server, an AsyncClient or a call "
        "in another thread used it. Start processes with multiprocessing's 'spawn' or 'forkserver', close "
        "the AsyncClient or server before the fork, or use REST (http://)."
    )


def _after_fork() -> None:
    global _unusable
    _unusable = _unusable or bool(_calls) or bool(len(_polled_for))


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_after_fork)
