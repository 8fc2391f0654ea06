"""A server's keys and certificates, from the user's files or from TensorFlow Serving's `SSLConfig`."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

import grpc

from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.tls import TLS


def context(tls: TLS | messages.SSLConfig, where: str | Path) -> ssl.SSLContext:
    """Return the context for a server of Python's own.

    Args:
        tls: the certificates.
        where: the setting or the file that they come from, for the error.

    Raises:
        InvalidArgumentError: a file cannot be read, or the certificates cannot be used.
    """
    return _context(_config(tls, where), where)


def credentials(tls: TLS | messages.SSLConfig, where: str | Path) -> grpc.ServerCredentials:
    """Return the credentials for a server of gRPC.

    Args:
        tls: the certificates.
        where: the setting or the file that they come from, for the error.

    Raises:
        InvalidArgumentError: a file cannot be read, or the certificates cannot be used.
    """
    config = _config(tls, where)
    _context(config, where)  # gRPC itself would only report that it cannot listen
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )


def _config(tls: TLS | messages.SSLConfig, where: str | Path) -> messages.SSLConfig:
    if not isinstance(tls, TLS):
        return tls
    ca, cert, key = tls.paths
    if not cert or not key:
        raise InvalidArgumentError(f"{where}: expected cert_file and key_file, got neither. Pass both.")
    if tls.verify_clients and not ca:
        raise InvalidArgumentError(
            f"{where}: expected ca_file with verify_clients, got None. Pass the authority of the clients."
        )
    return messages.SSLConfig(
        server_key=_read(key, where),
        server_cert=_read(cert, where),
        custom_ca=_read(ca, where) if ca else "",
        client_verify=tls.verify_clients,
    )


def _read(file: Path, where: str | Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise InvalidArgumentError(f"{where}: {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidArgumentError(f"{where}: expected PEM files, got {file}, which is not text") from None


def _context(config: messages.SSLConfig, where: str | Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A context reads its own certificate from files alone.
        with tempfile.TemporaryDirectory() as folder:
            key, cert = Path(folder) / "key", Path(folder) / "cert"
            key.write_text(config.server_key)
            cert.write_text(config.server_cert)
            made.load_cert_chain(cert, key, password=lambda: "")  # otherwise it asks at the terminal
        if config.custom_ca:
            made.load_verify_locations(cadata=config.custom_ca)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidArgumentError(
            f"{where}: The certificates cannot be used: server_key, server_cert and custom_ca must be PEM, "
            f"without a password, the first two of one pair ({error})"
        ) from None
    if config.client_verify:
        made.verify_mode = ssl.CERT_REQUIRED
    return made
