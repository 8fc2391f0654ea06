"""The access log: a line of JSON per request."""

from __future__ import annotations

import json
import logging
import time

_log = logging.getLogger("keras_dl_serving.access")


def write(protocol: str, method: str, path: str, status: str | int, began: float, size: int) -> None:
    """Log an answered request.

    Args:
        protocol: `rest` or `grpc`.
        method: the HTTP method; `POST` for gRPC.
        path: the path of the request, or gRPC's method.
        status: the HTTP status, or the name of gRPC's.
        began: the time of its arrival, by `time.perf_counter`.
        size: the size of the answer in bytes.
    """
    milliseconds = round((time.perf_counter() - began) * 1e3, 3)
    _log.info(
        json.dumps(
            {
                "protocol": protocol,
                "method": method,
                "path": path,
                "status": status,
                "milliseconds": milliseconds,
                "bytes": size,
            }
        )
    )
