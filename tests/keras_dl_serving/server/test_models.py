"""The list of served models, an extension of TensorFlow Serving's API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keras_dl_serving import AsyncClient, Client, Server, UnsupportedByServerError


def test_our_server_lists_its_models(server: Server, releases: Path) -> None:
    folders = sorted(path.name for path in releases.iterdir() if path.is_dir())
    with Client(server.rest_url) as client:
        assert client.models() == folders

    async def ask() -> list[str]:
        async with AsyncClient(server.rest_url) as client:
            return await client.models()

    assert asyncio.run(ask()) == folders


def test_other_protocols_refuse_the_list(server: Server) -> None:
    with (
        Client(server.grpc_url) as client,
        pytest.raises(UnsupportedByServerError, match="ask for the status of one by name"),
    ):
        client.models()


def test_other_servers_refuse_the_list(server: Server) -> None:
    # A path before ours, where nothing is served: what any other server would answer.
    with (
        Client(f"{server.rest_url}/elsewhere") as client,
        pytest.raises(UnsupportedByServerError, match="does not list its models"),
    ):
        client.models()
