"""Certificates and keys, checked before the first connection."""

from __future__ import annotations

import ssl
from pathlib import Path

from keras_dl_serving.client.transport import Connection


def context_of(connection: Connection) -> ssl.SSLContext:
    """What a connection with TLS trusts and shows.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is no PEM of its kind, or the key is not the certificate's.
    """
    # OpenSSL's own errors name no file.
    for file in (connection.ca_file, connection.cert_file, connection.key_file):
        if file is not None:
            file.read_bytes()
    try:
        context = ssl.create_default_context(cafile=connection.ca_file)
    except ssl.SSLError as error:
        raise _refused("ca_file", connection.ca_file, "certificates", error) from None
    cert, key = connection.cert_file, connection.key_file
    if cert and key:
        try:
            context.load_cert_chain(cert, key, password=lambda: "")  # otherwise OpenSSL asks the terminal
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ValueError(
                    f"key_file: expected the key of the certificate in {cert}, got another one in {key}."
                ) from None
            raise _refused(
                "cert_file, key_file", f"{cert} and {key}", "a certificate and a key without password", error
            ) from None
    return context


def _refused(name: str, file: Path | str | None, wanted: str, error: ssl.SSLError) -> ValueError:
    return ValueError(
        f"{name}: expected {wanted} in PEM format, got {file}, which OpenSSL refuses: "
        f"{error.reason or error}."
    )
