"""Unusable certificates are named, and not reported as a port in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_dl_serving import TLS, Client, ConnectionFailedError, Server, ServerStartError
from keras_dl_serving.model_server import model_server
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.settings import ServerSettings
from tests._support.certificates import certificate
from tests._support.served_models import save_scale


@pytest.mark.parametrize("settings", ["rest_tls", "grpc_tls"])
@pytest.mark.parametrize("wrong", ["server_key", "server_cert", "custom_ca", "pair"])
def test_invalid_certificates_are_refused(tmp_path: Path, settings: str, wrong: str) -> None:
    save_scale(tmp_path / "m" / "1", 2)
    key, cert = certificate()
    tls = messages.SSLConfig(server_key=key, server_cert=cert, custom_ca=cert)
    if wrong == "pair":
        tls.server_key = certificate()[0]
    else:
        setattr(tls, wrong, "-----BEGIN NONSENSE-----")
    with pytest.raises(ServerStartError) as caught:
        Server(tmp_path, rest_port=0, grpc_port=0, settings=ServerSettings(**{settings: tls})).start()  # type: ignore[arg-type]
    assert str(caught.value).startswith(
        f"INVALID_ARGUMENT: {settings}: The certificates cannot be used: server_key,"
    )


def test_the_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ssl.config"
    file.write_text("server_key: 'no key' server_cert: 'no certificate'")
    for flag in ("ssl_config_file", "rest_ssl_config_file"):
        assert model_server.main(["--model_base_path=/m", f"--{flag}={file}"]) == 1
        error = capsys.readouterr().err
        assert f"INVALID_ARGUMENT: {file}: The certificates cannot be used" in error


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_client_and_server_accept_the_same_record(tmp_path: Path, scheme: str) -> None:
    save_scale(tmp_path / "releases" / "m" / "1", 2)
    cert, key = tmp_path / "cert.pem", str(tmp_path / "key.pem")
    for file, text in zip((key, cert), certificate(), strict=True):
        Path(file).write_text(text)
    mutual = TLS(cert, cert, key, verify_clients=True)
    with Server(tmp_path / "releases", rest_port=0, grpc_port=0, tls=mutual) as server:
        url = server.rest_url if scheme == "https" else server.grpc_url
        assert url.startswith(f"{scheme}://")
        with Client(url, tls=mutual) as client:
            assert client.predict("m", [1.5])["y"].tolist() == [3.0]
        with (
            Client(url, tls=TLS(ca_file=cert), retries=0) as client,
            pytest.raises(ConnectionFailedError, match="cannot be reached"),
        ):
            client.status("m")


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        (TLS(ca_file="ca.pem"), "rest_tls: expected cert_file and key_file"),
        (TLS(cert_file="no.pem", key_file="no.key"), "rest_tls: no.key cannot be read"),
        (
            TLS(cert_file="no.pem", key_file="no.key", verify_clients=True),
            "expected ca_file with verify_clients",
        ),
    ],
)
def test_files_that_a_server_cannot_use_are_named(tmp_path: Path, tls: TLS, message: str) -> None:
    save_scale(tmp_path / "m" / "1", 2)
    with pytest.raises(ServerStartError, match=message):
        Server(tmp_path, rest_port=0, grpc_port=None, tls=tls).start()


def test_certificates_in_two_forms_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tls: expected either tls or ca_file.*got both"):
        Client("https://localhost:1", tls=TLS(ca_file="ca.pem"), ca_file="ca.pem")
    with pytest.raises(ValueError, match="cert_file, key_file: expected both or neither"):
        TLS(cert_file="c.pem")
