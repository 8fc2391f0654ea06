"""Coroutines without an event loop: one implementation for asyncio and for blocking calls."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def run_to_end(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine that never suspends, also in a thread whose event loop runs.

    Raises:
        AssertionError: the coroutine suspended; it is closed.
    """
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: _Result = finished.value
        return result
    coroutine.close()
    raise AssertionError("a coroutine that should run to its end has suspended")
