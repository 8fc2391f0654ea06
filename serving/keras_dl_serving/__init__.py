"""An embedded TensorFlow Serving, and a client without TensorFlow.

Names are imported on first use: importing the package, or `Client` from it, costs no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_dl_serving.client.client import AsyncClient, Client
    from keras_dl_serving.client.transport import ModelMetadata, VersionStatus
    from keras_dl_serving.errors import (
        Aborted,
        AlreadyExists,
        Cancelled,
        Code,
        ConnectionFailed,
        DataLoss,
        DeadlineExceeded,
        FailedPrecondition,
        Internal,
        InvalidArgument,
        InvalidRequest,
        NotFound,
        NotReady,
        OutOfRange,
        PermissionDenied,
        ResourceExhausted,
        ServerStartError,
        ServingError,
        StatusError,
        Unauthenticated,
        Unavailable,
        Unimplemented,
        Unknown,
        UnsupportedByServer,
    )
    from keras_dl_serving.server.server import Server
    from keras_dl_serving.signatures import Signature, TensorSpec

_MODULES = {
    "AsyncClient": "client.client",
    "Client": "client.client",
    "ModelMetadata": "client.transport",
    "Server": "server.server",
    "Signature": "signatures",
    "TensorSpec": "signatures",
    "VersionStatus": "client.transport",
}

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "Cancelled",
    "Client",
    "Code",
    "ConnectionFailed",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "InvalidRequest",
    "ModelMetadata",
    "NotFound",
    "NotReady",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "Server",
    "ServerStartError",
    "ServingError",
    "Signature",
    "StatusError",
    "TensorSpec",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "UnsupportedByServer",
    "VersionStatus",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'keras_dl_serving' has no attribute {name!r}")
    # Everything without a module of its own is an exception or their codes.
    return getattr(importlib.import_module(f"keras_dl_serving.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
