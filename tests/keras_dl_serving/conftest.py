"""Small SavedModels, and one server with all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests._support.served_models import (
    save_echo,
    save_examples,
    save_half_plus_two,
    save_linear,
    save_scale,
    save_two_inputs,
    save_with_default,
)


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`linear` 1 and 3, `half_plus_two` 123; `two_inputs`, `echo`, `with_default` and `examples` 1."""
    folder = tmp_path_factory.mktemp("releases")
    save_linear(folder / "linear" / "1", scale=10.0)
    save_linear(folder / "linear" / "3")
    save_half_plus_two(folder / "half_plus_two" / "123")
    save_two_inputs(folder / "two_inputs" / "1")
    save_echo(folder / "echo" / "1")
    save_with_default(folder / "with_default" / "1")
    save_examples(folder / "examples" / "1")
    return folder


@pytest.fixture(scope="session")
def server(releases: Path) -> Iterator[Any]:
    """The server of these releases, with the profiler."""
    from keras_dl_serving import Server
    from keras_dl_serving.server.settings import ServerSettings

    settings = ServerSettings(profiler=True)
    with Server(releases, rest_port=0, grpc_port=0, poll_seconds=None, settings=settings) as running:
        yield running


@pytest.fixture(params=["Client", "AsyncClient"])
def client_class(request: pytest.FixtureRequest) -> Any:
    """Return a client class; the asynchronous one is wrapped, so that the same tests hold for both."""
    from keras_dl_serving import Client
    from tests._support.blocking_client import Blocking

    return {"Client": Client, "AsyncClient": Blocking}[request.param]


@pytest.fixture(params=["rest_url", "grpc_url"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Return the attribute of a server that holds the URL."""
    return str(request.param)


@pytest.fixture
def client(client_class: Any, protocol: str, server: Any) -> Iterator[Any]:
    """A client of the server of all releases."""
    with client_class(getattr(server, protocol)) as client:
        yield client


@pytest.fixture(scope="module")
def triple(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Yield a server of `triple`, an ONNX model, which starts quickly."""
    from keras_dl_serving import Server
    from keras_dl_serving.server.settings import ServerSettings

    folder = tmp_path_factory.mktemp("triple")
    save_scale(folder / "triple" / "1", 3.0)
    socket = folder / "socket"
    with Server(folder, rest_port=0, grpc_port=0, settings=ServerSettings(grpc_socket=socket)) as server:
        yield server
