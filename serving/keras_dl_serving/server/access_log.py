"""One line of JSON for each request."""

from __future__ import annotations

import json
import logging
import time

_log = logging.getLogger("keras_dl_serving.access")


def write(protocol: str, method: str, path: str, status: str | int, began: float, size: int) -> None:
    """Log a request that has been answered.

    Args:
        protocol: `rest` or `grpc`.
        method: the HTTP method; `POST` for gRPC.
        path: what was asked.
        status: the HTTP status, or the name of gRPC's.
        began: when it came, by `time.perf_counter`.
        size: bytes of the answer.
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
