"""From a URL to a transport. All settings of a connection are checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike
from urllib.parse import SplitResult, urlsplit

from keras_dl_serving.client.transport import Connection, Transport
from keras_dl_serving.tls import TLS

StrPath = str | PathLike[str]

# By HTTP's rules; gRPC allows fewer characters in names.
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_GRPC_NAME = re.compile(r"(?!grpc-)[\w.-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?|")


def open_transport(url: str, connection: Connection, *, blocking: bool) -> Transport:
    """Return the transport for a URL.

    Raises:
        ValueError: the URL is neither for REST nor for gRPC, or is without TLS although certificates are
            passed, or a header, certificate or key is invalid.
        OSError: a certificate or key cannot be read.
    """
    parts = _parts(url)
    rest = parts.scheme in ("http", "https")
    if connection.tls and parts.scheme not in ("https", "grpcs"):
        raise ValueError(
            f"tls (ca_file, cert_file, key_file): expected a URL with TLS, got {url!r}. Write https:// or "
            "grpcs://."
        )
    _check_headers(connection, _HEADER_NAME if rest else _GRPC_NAME)
    if rest:
        from keras_dl_serving.client.rest_transport import RestTransport

        return RestTransport(url, connection, blocking=blocking)
    from keras_dl_serving.client.grpc_transport import GrpcTransport

    return GrpcTransport(url, connection, blocking=blocking)


def _parts(url: str) -> SplitResult:
    try:
        # urlsplit silently drops line breaks.
        parts = urlsplit(url if not re.search(r"[\x00-\x20\x7f]", url) else "")
        host = (parts.hostname or "").encode("idna")
        port = parts.port
    except UnicodeError as error:
        raise ValueError(f"url: expected a host name that can be resolved, got {url!r}: {error}.") from None
    known = parts.scheme in ("http", "https", "grpc", "grpcs") and host
    if not known and not (parts.scheme == "unix" and parts.path):
        raise ValueError(
            "url: expected http://HOST:PORT for REST or grpc://HOST:PORT for gRPC (https and grpcs with "
            f"TLS, unix:///PATH for gRPC on a socket), got {url!r}."
        )
    if parts.scheme.startswith("grpc"):
        if port is None:
            raise ValueError(
                f"url: expected a port, as gRPC has no default, got {url!r}. Add it; TensorFlow Serving's is "
                "8500."
            )
        if parts.path.strip("/") or "@" in parts.netloc:
            raise ValueError(f"url: expected grpc://HOST:PORT and nothing else, got {url!r}.")
    if parts.query or parts.fragment:
        raise ValueError(f"url: expected no query (?) and no fragment (#), got {url!r}. Omit them.")
    return parts


def _check_headers(connection: Connection, name_form: re.Pattern[str]) -> None:
    for name, value in connection.headers.items():
        if not isinstance(name, str) or not name_form.fullmatch(name):
            raise ValueError(
                f"headers: expected names that can be sent, such as 'authorization', got {name!r}."
            )
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            # The value is not shown: it may be a secret.
            raise ValueError(
                f"headers: expected printable ASCII characters for {name!r}, without spaces around them, got "
                f"another {type(value).__name__}."
            )


def connection_of(
    tls: TLS | None,
    ca_file: StrPath | None,
    cert_file: StrPath | None,
    key_file: StrPath | None,
    headers: Mapping[str, str] | None,
) -> Connection:
    """Return the configuration of a connection from a client's arguments.

    Raises:
        ValueError: certificates are passed in both forms, or a certificate without its key.
    """
    if any((ca_file, cert_file, key_file)):
        if tls is not None:
            raise ValueError(
                "tls: expected either tls or ca_file, cert_file and key_file, got both. Pass tls alone."
            )
        tls = TLS(ca_file, cert_file, key_file)
    return Connection(tls, dict(headers or {}))
