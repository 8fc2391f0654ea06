"""docs/serving.md: its Python runs, its flags are known, its files can be read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from keras_dl_serving.server import model_server
from keras_dl_serving.server.config import read_file
from keras_dl_serving.wire import messages
from tests.keras_dl_serving.test_model_server import certificate

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        exec(compile(block, "docs/serving.md", "exec"), {})


def test_its_commands_make_servers_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, name in (
        ("ModelServerConfig", "models.config"),
        ("BatchingParameters", "batching.config"),
        ("MonitoringConfig", "monitoring.config"),
    ):
        (text,) = blocks(f'proto title="{name}"')
        Path(name).write_text(text)
        assert read_file(Path(name), getattr(messages, kind)).ListFields()
    key, cert = certificate()
    tls = messages.SSLConfig(server_key=key, server_cert=cert, custom_ca=cert, client_verify=True)
    Path("ssl.config").write_text(str(tls))
    commands = blocks("bash")
    assert len(commands) == 5
    for command in commands:
        program, *arguments = shlex.split(command.replace("\\\n", " "))
        assert program == "keras-dl-model-server"
        flags, unknown = model_server._parser().parse_known_args(arguments)
        assert not unknown
        model_server.create_server(flags)


def test_the_flags_it_names_exist() -> None:
    known = model_server._parser().format_help()
    for flag in set(re.findall(r"--\w+", PAGE)) - {"--help"}:
        assert flag in known, flag
