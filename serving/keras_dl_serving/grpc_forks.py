"""Detection of forked processes in which gRPC cannot be used.

gRPC prepares for a fork unless a thread is inside gRPC at that moment: in a blocking call, or polling for
`grpc.aio`, which a thread does as long as a channel or server exists. The calls of a child forked at such a
moment may hang or end the process, and calls over `grpc.aio` disturb the parent's.
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
    """Register a channel or server of `grpc.aio` for as long as it exists."""
    _polled_for.add(user)
    return user


@contextmanager
def blocking_call() -> Iterator[None]:
    """Register that a thread is inside gRPC during the block."""
    call = object()
    _calls.add(call)
    try:
        yield
    finally:
        _calls.discard(call)


def problem() -> str:
    """Return why gRPC cannot be used in this process, and the remedy; empty if it can."""
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
