"""TLS, as a client and a server are configured for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TLS:
    """The PEM files of one side of a connection with TLS.

        Server("releases", tls=TLS(cert_file="server.pem", key_file="server.key"))
        Client("https://models.example:8501", tls=TLS(ca_file="ca.pem"))

    Attributes:
        ca_file: the certificates that the other side is verified against. For a client, they replace the
            system's; for a server, they are those of its clients.
        cert_file: the own certificate. A server requires one, a client for mutual TLS alone.
        key_file: the key of that certificate, without a password.
        verify_clients: for a server: reject a client without a certificate that `ca_file` verifies.
    """

    ca_file: str | os.PathLike[str] | None = None
    cert_file: str | os.PathLike[str] | None = None
    key_file: str | os.PathLike[str] | None = None
    verify_clients: bool = False

    def __post_init__(self) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError(
                "cert_file, key_file: expected both or neither, got one of them. Pass the other, too."
            )

    @property
    def paths(self) -> tuple[Path | None, Path | None, Path | None]:
        """The paths of `ca_file`, `cert_file` and `key_file`."""
        return _path(self.ca_file), _path(self.cert_file), _path(self.key_file)


def _path(file: str | os.PathLike[str] | None) -> Path | None:
    return None if file is None else Path(file)
