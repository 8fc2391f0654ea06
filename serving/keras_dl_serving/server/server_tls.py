"""Keys and certificates, from TensorFlow Serving's SSLConfig."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

import grpc

from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.wire import messages


def context(tls: messages.SSLConfig, where: str | Path) -> ssl.SSLContext:
    """For a server of Python's own.

    Args:
        tls: what there is.
        where: it comes from, for the error.

    Raises:
        InvalidArgumentError: what is there cannot be used.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A context takes its own certificate from files alone.
        with tempfile.TemporaryDirectory() as folder:
            key, cert = Path(folder) / "key", Path(folder) / "cert"
            key.write_text(tls.server_key)
            cert.write_text(tls.server_cert)
            made.load_cert_chain(cert, key, password=lambda: "")  # else it would ask at the terminal
        if tls.custom_ca:
            made.load_verify_locations(cadata=tls.custom_ca)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidArgumentError(
            f"{where}: The certificates cannot be used: server_key, server_cert and custom_ca must be PEM, "
            f"without a password, the first two of one pair ({error})"
        ) from None
    if tls.client_verify:
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def credentials(tls: messages.SSLConfig, where: str | Path) -> grpc.ServerCredentials:
    """For a server of gRPC.

    Args:
        tls: what there is.
        where: it comes from, for the error.

    Raises:
        InvalidArgumentError: what is there cannot be used.
    """
    context(tls, where)  # as gRPC would only say that it cannot listen
    return grpc.ssl_server_credentials(
        [(tls.server_key.encode(), tls.server_cert.encode())],
        root_certificates=tls.custom_ca.encode() or None,
        require_client_auth=tls.client_verify,
    )
