"""An interface that is the same for both clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from keras_dl_serving import AsyncClient


class Blocking:
    """An `AsyncClient` used like a `Client`, so that the same tests hold for both."""

    def __init__(self, url: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = AsyncClient(url, **options)
        self.url = self._client.url

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *args, **options: self._loop.run_until_complete(method(*args, **options))

    def __enter__(self) -> Blocking:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._loop.close()

    def predict_batches(self, *args: Any, **options: Any) -> Iterator[Any]:
        answers = self._client.predict_batches(*args, **options)
        try:
            while True:
                yield self._loop.run_until_complete(anext(answers))
        except StopAsyncIteration:
            return
        finally:
            self._loop.run_until_complete(answers.aclose())  # type: ignore[attr-defined]
