"""Status codes, and the errors of client and server; `keras_dl_export.errors` draws the tree.

The codes are gRPC's, which TensorFlow shares. Several of them map to one HTTP status (three to 400), so an
error received over REST is the most common code of its HTTP status. The server raises the same
`StatusError`s internally.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from keras_dl_export.errors import KerasDLError


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
    """Return the code that an HTTP status most likely stands for."""
    if status in _CODE_OF_HTTP:
        return _CODE_OF_HTTP[status]
    return Code.INVALID_ARGUMENT if 400 <= status < 500 else Code.UNKNOWN


class ServerStartError(KerasDLError, RuntimeError):
    """A server that cannot start: a port is in use, or there is nothing to serve."""


@dataclass(frozen=True)
class Request:
    """A request of a client, as error messages and logs show it."""

    method: str
    url: str
    model: str | None = None
    version: int | None = None
    label: str | None = None
    signature_name: str | None = None

    def __str__(self) -> str:
        """Return, for example, `predict of model 'digits', version 3, at grpc://localhost:8500`."""
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


class ServingError(KerasDLError):
    """Base of everything that a client call raises.

    Attributes:
        message: the reason; from a server, in its own words.
        status: the status code, if there is one.
        request: the request that failed, if it is known.
    """

    status: Code | None = None

    def __init__(self, message: str, *, request: Request | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request = request

    def __str__(self) -> str:
        return f"{self.message} ({self.request})" if self.request else self.message


class InvalidRequestError(ServingError, ValueError):
    """A request refused before it was sent: the inputs do not fit the model's signature."""


class ConnectionFailedError(ServingError, ConnectionError):
    """A server that was not reached, or a connection that broke before the answer."""

    status = Code.UNAVAILABLE


class NotReadyError(ServingError, TimeoutError):
    """A model that was not available in time."""

    status = Code.UNAVAILABLE


class UnsupportedByServerError(ServingError):
    """A call that the server at this URL does not have, or not over this protocol."""

    status = Code.UNIMPLEMENTED


class StatusError(ServingError):
    """An error that the server answered with."""

    status: Code = Code.UNKNOWN
    _classes: ClassVar[dict[Code, type[StatusError]]] = {}

    def __init_subclass__(cls) -> None:
        StatusError._classes[cls.status] = cls

    @staticmethod
    def of(code: Code, message: str, *, request: Request | None = None) -> StatusError:
        """Return an error of the subclass that stands for `code`."""
        return StatusError._classes[code](message, request=request)


class CancelledError(StatusError):
    """A call that was cancelled."""

    status = Code.CANCELLED


class UnknownError(StatusError):
    """An error without a better name."""

    status = Code.UNKNOWN


class InvalidArgumentError(StatusError):
    """A request that is wrong whatever the state of the server."""

    status = Code.INVALID_ARGUMENT


class DeadlineExceededError(StatusError, TimeoutError):
    """A deadline that passed before the answer."""

    status = Code.DEADLINE_EXCEEDED


class NotFoundError(StatusError, LookupError):
    """A model or version that does not exist."""

    status = Code.NOT_FOUND


class AlreadyExistsError(StatusError):
    """Something to be created that exists already."""

    status = Code.ALREADY_EXISTS


class PermissionDeniedError(StatusError):
    """A call that the caller has no permission for."""

    status = Code.PERMISSION_DENIED


class ResourceExhaustedError(StatusError):
    """An exhausted quota or memory, or a message above the size limit."""

    status = Code.RESOURCE_EXHAUSTED


class FailedPreconditionError(StatusError):
    """A server that is not in the state that the request requires."""

    status = Code.FAILED_PRECONDITION


class AbortedError(StatusError):
    """A call that was aborted, usually by a concurrent change."""

    status = Code.ABORTED


class OutOfRangeError(StatusError):
    """A value past the valid range."""

    status = Code.OUT_OF_RANGE


class UnimplementedError(StatusError, NotImplementedError):
    """A call or dtype that the server does not support."""

    status = Code.UNIMPLEMENTED


class InternalError(StatusError):
    """A fault inside the server."""

    status = Code.INTERNAL


class UnavailableError(StatusError):
    """A service that is unavailable at the moment; a retry may succeed."""

    status = Code.UNAVAILABLE


class DataLossError(StatusError):
    """Data that is lost or corrupt."""

    status = Code.DATA_LOSS


class UnauthenticatedError(StatusError):
    """A call without valid credentials."""

    status = Code.UNAUTHENTICATED


# The names of earlier versions: the same classes.
InvalidRequest = InvalidRequestError
ConnectionFailed = ConnectionFailedError
NotReady = NotReadyError
UnsupportedByServer = UnsupportedByServerError
Cancelled = CancelledError
Unknown = UnknownError
InvalidArgument = InvalidArgumentError
DeadlineExceeded = DeadlineExceededError
NotFound = NotFoundError
AlreadyExists = AlreadyExistsError
PermissionDenied = PermissionDeniedError
ResourceExhausted = ResourceExhaustedError
FailedPrecondition = FailedPreconditionError
Aborted = AbortedError
OutOfRange = OutOfRangeError
Unimplemented = UnimplementedError
Internal = InternalError
Unavailable = UnavailableError
DataLoss = DataLossError
Unauthenticated = UnauthenticatedError
