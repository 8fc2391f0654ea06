"""The standard health service of gRPC: `Check` answers once, `Watch` until the client leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable

import grpc

from keras_dl_serving.errors import NotFound
from keras_dl_serving.wire import messages

_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3
# TensorFlow Serving calls its services by their short names here; probes written for gRPC use the full ones.
_SERVICES = frozenset(
    (
        "",
        *(
            f"{package}{name}Service"
            for package in ("", "tensorflow.serving.")
            for name in ("Prediction", "Model")
        ),
    )
)
_Send = Callable[[messages.HealthCheckResponse | None], None]


class Health:
    """The service. It serves until `close`, whether or not models are there, as in the original."""

    def __init__(self) -> None:
        self._watchers: dict[grpc.ServicerContext, tuple[str, _Send]] = {}
        self._closed = False
        self._lock = threading.Lock()

    def check(self, request: messages.HealthCheckRequest) -> messages.HealthCheckResponse:
        """Health.Check.

        Raises:
            NotFound: there is no such service.
        """
        if request.service not in _SERVICES:
            raise NotFound("service name unknown")
        return messages.HealthCheckResponse(status=self._status(request.service))

    def watch(self, request: messages.HealthCheckRequest, context: grpc.ServicerContext, send: _Send) -> None:
        """Health.Watch: returns at once; answers are sent as long as the call lives."""
        with self._lock:
            send(messages.HealthCheckResponse(status=self._status(request.service)))
            if self._closed:
                send(None)
            elif context.add_callback(lambda: self._forget(context)):
                self._watchers[context] = (request.service, send)

    def close(self) -> None:
        """Tell all watchers that it is over, and let them go."""
        with self._lock:
            self._closed = True
            for service, send in list(self._watchers.values()):
                if service in _SERVICES:
                    send(messages.HealthCheckResponse(status=_NOT_SERVING))
                send(None)
            self._watchers.clear()

    def _status(self, service: str) -> int:
        if service not in _SERVICES:
            return _SERVICE_UNKNOWN
        return _NOT_SERVING if self._closed else _SERVING

    def _forget(self, context: grpc.ServicerContext) -> None:
        # Not under the lock: the call ends in the thread that `send` waits for.
        self._watchers.pop(context, None)
