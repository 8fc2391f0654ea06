"""The page docs/serving.md: its Python runs, its flags exist, and its files can be read."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

from keras_dl_serving.model_server import model_server
from keras_dl_serving.model_server.flags import make_parser
from keras_dl_serving.protocol.text_files import read_file
from keras_dl_serving.protocol.wire import messages
from tests._support.certificates import certificate
from tests._support.served_models import save_linear

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the blocks inside a running event loop, as a notebook does."""
    monkeypatch.chdir(tmp_path)

    async def cells() -> None:
        for block in blocks("python"):
            exec(compile(block, "docs/serving.md", "exec"), {})

    asyncio.run(cells())


def test_the_fastapi_application_responds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fastapi = pytest.importorskip("fastapi", reason="needs fastapi, of the dev group")
    monkeypatch.chdir(tmp_path)
    save_linear(tmp_path / "releases" / "digits" / "1")
    (text,) = blocks('python title="app.py"')
    module: dict[str, Any] = {}
    exec(compile(text, "app.py", "exec"), module)

    async def ask() -> dict[str, Any]:
        app = module["app"]
        assert isinstance(app, fastapi.FastAPI)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                response = await client.get("/digit", params={"x": 2.0})
        answer: dict[str, Any] = response.json()
        return answer

    assert asyncio.run(ask())["total"] == [6.0]


def test_the_commands_create_servers_from_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        flags, unknown = make_parser().parse_known_args(arguments)
        assert not unknown
        model_server.create_server(flags)


def test_the_flags_exist() -> None:
    known = make_parser().format_help()
    for flag in set(re.findall(r"--\w+", PAGE)) - {"--help"}:
        assert flag in known, flag
