"""A client's certificates and keys, checked before the first connection."""

from __future__ import annotations

import ssl
from pathlib import Path

from keras_dl_serving.tls import TLS


def context_of(tls: TLS) -> ssl.SSLContext:
    """Return the context of a client's connections.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is not a PEM of its kind, or the key does not match the certificate.
    """
    ca, cert, key = tls.paths
    for file in tls.paths:  # OpenSSL's own errors name no file
        if file is not None:
            file.read_bytes()
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise _refused("ca_file", ca, "certificates", error) from None
    if cert and key:
        try:
            context.load_cert_chain(cert, key, password=lambda: "")  # otherwise OpenSSL asks the terminal
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ValueError(
                    f"key_file: expected the key of the certificate in {cert}, got another one in {key}. "
                    "Pass the key that belongs to it."
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
