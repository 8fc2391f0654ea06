"""Certificates that cannot be used are named, and no port is blamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_dl_serving import Server, ServerStartError
from keras_dl_serving.model_server import model_server
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.settings import Settings
from tests._support.certificates import certificate
from tests._support.served_models import save_scale


@pytest.mark.parametrize("settings", ["rest_tls", "grpc_tls"])
@pytest.mark.parametrize("wrong", ["server_key", "server_cert", "custom_ca", "pair"])
def test_certificates_that_are_none(tmp_path: Path, settings: str, wrong: str) -> None:
    save_scale(tmp_path / "m" / "1", 2)
    key, cert = certificate()
    tls = messages.SSLConfig(server_key=key, server_cert=cert, custom_ca=cert)
    if wrong == "pair":
        tls.server_key = certificate()[0]
    else:
        setattr(tls, wrong, "-----BEGIN NONSENSE-----")
    with pytest.raises(ServerStartError) as caught:
        Server(tmp_path, rest_port=0, grpc_port=0, settings=Settings(**{settings: tls})).start()  # type: ignore[arg-type]
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
