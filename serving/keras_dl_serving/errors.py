"""Status codes, what they are over HTTP, and the exceptions that carry them.

```
ServingError                     everything a client call raises; `.request`, `.status`, `.message`
├── InvalidRequest  (ValueError)      refused before it was sent: a wrong name, shape or dtype
├── ConnectionFailed (ConnectionError) the server was not reached, or hung up
├── NotReady        (TimeoutError)    `wait_ready` gave up
├── UnsupportedByServer               this server, or the protocol it was asked by, has no such call
└── StatusError                       the server answered with an error; one subclass for each status:
    Cancelled, Unknown, InvalidArgument, DeadlineExceeded, NotFound, AlreadyExists, PermissionDenied,
    ResourceExhausted, FailedPrecondition, Aborted, OutOfRange, Unimplemented, Internal, Unavailable,
    DataLoss, Unauthenticated
```

`ServerStartError` stands apart: it comes from `Server`, not from a call.

The codes are gRPC's, which TensorFlow shares. Several of them are one HTTP status (three are 400), so an
error that came over REST is the commonest code of its HTTP status. The server raises the same
`StatusError`s inside.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar


class Code(enum.IntEnum):
    """Status codes of gRPC and TensorFlow."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS: dict[Code, int] = {
    Code.OK: 200,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.INTERNAL: 500,
    Code.UNKNOWN: 500,
    Code.DATA_LOSS: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}

_CODE_OF_HTTP: dict[int, Code] = {status: code for code, status in reversed(HTTP_STATUS.items())}


def code_of_http(status: int) -> Code:
    """The code that an HTTP status most likely stands for."""
    if status in _CODE_OF_HTTP:
        return _CODE_OF_HTTP[status]
    return Code.INVALID_ARGUMENT if 400 <= status < 500 else Code.UNKNOWN


class ServerStartError(RuntimeError):
    """The embedded server could not start: a port is taken, or there is nothing to serve."""


@dataclass(frozen=True)
class Request:
    """What a client asked, for error messages and logs."""

    method: str
    url: str
    model: str | None = None
    version: int | None = None
    label: str | None = None
    signature_name: str | None = None

    def __str__(self) -> str:
        """`predict of model 'digits', version 3, at grpc://localhost:8500`."""
        parts = [self.method]
        if self.model is not None:
            parts.append(f"of model {self.model!r}")
        if self.version is not None:
            parts.append(f"version {self.version}")
        if self.label is not None:
            parts.append(f"label {self.label!r}")
        if self.signature_name not in (None, "serving_default"):
            parts.append(f"signature {self.signature_name!r}")
        return f"{', '.join(parts).replace(', of', ' of', 1)} at {self.url}"


class ServingError(Exception):
    """Everything that a client call raises.

    Attributes:
        message: what went wrong; from a server, its own words.
        status: the status code, where there is one.
        request: what was asked, where it is known.
    """

    status: Code | None = None

    def __init__(self, message: str, *, request: Request | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request = request

    def __str__(self) -> str:
        return f"{self.message} ({self.request})" if self.request else self.message


class InvalidRequest(ServingError, ValueError):
    """Refused before it was sent: the inputs do not fit the model's signature."""


class ConnectionFailed(ServingError, ConnectionError):
    """The server was not reached, or the connection broke before it answered."""

    status = Code.UNAVAILABLE


class NotReady(ServingError, TimeoutError):
    """The model was not available in time."""

    status = Code.UNAVAILABLE


class UnsupportedByServer(ServingError):
    """The server at this URL has no such call, or not over this protocol: see the message."""

    status = Code.UNIMPLEMENTED


class StatusError(ServingError):
    """The server answered with an error."""

    status: Code = Code.UNKNOWN
    _classes: ClassVar[dict[Code, type[StatusError]]] = {}

    def __init_subclass__(cls) -> None:
        StatusError._classes[cls.status] = cls

    @staticmethod
    def of(code: Code, message: str, *, request: Request | None = None) -> StatusError:
        """The subclass that stands for `code`."""
        return StatusError._classes[code](message, request=request)


class Cancelled(StatusError):
    """The call was cancelled."""

    status = Code.CANCELLED


class Unknown(StatusError):
    """An error without a better name."""

    status = Code.UNKNOWN


class InvalidArgument(StatusError):
    """The request is wrong whatever the state of the server."""

    status = Code.INVALID_ARGUMENT


class DeadlineExceeded(StatusError, TimeoutError):
    """No answer within the timeout."""

    status = Code.DEADLINE_EXCEEDED


class NotFound(StatusError, LookupError):
    """No such model or version."""

    status = Code.NOT_FOUND


class AlreadyExists(StatusError):
    """What should be made is there already."""

    status = Code.ALREADY_EXISTS


class PermissionDenied(StatusError):
    """The caller may not do this."""

    status = Code.PERMISSION_DENIED


class ResourceExhausted(StatusError):
    """Out of quota, memory, or above a message size limit."""

    status = Code.RESOURCE_EXHAUSTED


class FailedPrecondition(StatusError):
    """The server is not in the state that the request needs."""

    status = Code.FAILED_PRECONDITION


class Aborted(StatusError):
    """Broken off, usually by a concurrent change."""

    status = Code.ABORTED


class OutOfRange(StatusError):
    """Past the valid range."""

    status = Code.OUT_OF_RANGE


class Unimplemented(StatusError, NotImplementedError):
    """The server does not offer this."""

    status = Code.UNIMPLEMENTED


class Internal(StatusError):
    """A fault inside the server."""

    status = Code.INTERNAL


class Unavailable(StatusError):
    """Not now: try again later."""

    status = Code.UNAVAILABLE


class DataLoss(StatusError):
    """Data lost or corrupt."""

    status = Code.DATA_LOSS


class Unauthenticated(StatusError):
    """No valid credentials."""

    status = Code.UNAUTHENTICATED
