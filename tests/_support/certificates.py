"""Certificates for the tests of TLS."""

from __future__ import annotations

import subprocess


def certificate() -> tuple[str, str]:
    """Return a key and a self-signed certificate for localhost."""
    done = subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            "-",
            "-out",
            "-",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    at = done.index("-----BEGIN CERTIFICATE-----")
    return done[:at], done[at:]
