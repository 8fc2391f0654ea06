"""The standard health service of gRPC: `Check` answers once, `Watch` until the client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from keras_dl_serving.errors import NotFoundError
from keras_dl_serving.protocol.wire import messages

_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3
# TensorFlow Serving uses the short names of its services here; probes for gRPC use the full ones.
_PACKAGES = ("", "tensorflow.serving.")
_SERVICES = frozenset(
    ("", *(f"{package}{name}Service" for package in _PACKAGES for name in ("Prediction", "Model")))
)


class Health:
    """The health service. It reports SERVING until `close`, even without models, as in the original."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    async def check(self, request: messages.HealthCheckRequest) -> messages.HealthCheckResponse:
        """Answer Health.Check.

        Raises:
            NotFoundError: there is no such service.
        """
        if request.service not in _SERVICES:
            raise NotFoundError("service name unknown")
        return messages.HealthCheckResponse(status=_SERVING)

    async def watch(
        self, request: messages.HealthCheckRequest
    ) -> AsyncIterator[messages.HealthCheckResponse]:
        """Answer Health.Watch."""
        known = request.service in _SERVICES
        yield messages.HealthCheckResponse(status=_SERVING if known else _SERVICE_UNKNOWN)
        await self._closed.wait()
        if known:
            yield messages.HealthCheckResponse(status=_NOT_SERVING)

    def close(self) -> None:
        """Report the end of the service to all watching clients, and end their calls."""
        self._closed.set()
