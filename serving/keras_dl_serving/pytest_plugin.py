"""Pytest fixtures: a real server in the tests of any project that has keras_dl installed.

def test_the_app(keras_dl_server):
    server = keras_dl_server("releases")
    assert my_app(server.rest_url).classify(image) == 3
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from keras_dl_serving.server.server import Server


@pytest.fixture(scope="session")
def keras_dl_server() -> Iterator[Callable[..., Server]]:
    """Return a function that starts servers: `keras_dl_server(releases, **options) -> Server`.

    It accepts the arguments of `Server`; by default the ports are free ones. The same folder and options give
    the same running server throughout the session, at whose end all servers are stopped.
    """
    from keras_dl_serving.server.server import Server

    running: dict[tuple[Path, str], Server] = {}
    with ExitStack() as stack:

        def serve(releases: str | Path, **options: Any) -> Server:
            options = {"rest_port": 0, "grpc_port": 0, **options}
            key = (Path(releases).resolve(), repr(sorted(options.items())))
            if key not in running:
                running[key] = stack.enter_context(Server(releases, **options))
            return running[key]

        yield serve
