"""The life cycle of a server: ports, folders, new versions, the stop."""

from __future__ import annotations

import gc
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_dl_serving import Client, ConnectionFailedError, NotFoundError, Server, ServerStartError
from tests._support.served_models import save_linear
from tests._support.waiting import eventually

X = np.ones((1, 3), np.float32)


@pytest.fixture
def folder(releases: Path, tmp_path: Path) -> Path:
    """A releases folder with `linear` 1, to be changed."""
    shutil.copytree(releases / "linear" / "1", tmp_path / "linear" / "1")
    return tmp_path


def free_server(folder: Path, **options: Any) -> Server:
    return Server(folder, **{"rest_port": 0, "grpc_port": 0, "poll_seconds": 0.05, **options})


def threads() -> set[threading.Thread]:
    # gRPC keeps a thread of its own for all the loops of a process, from the first one on.
    return {thread for thread in threading.enumerate() if "_poll_wrapper" not in thread.name}


def versions(client: Client) -> dict[int, str]:
    return {version.version: version.state for version in client.status("linear")}


def test_it_is_ready_when_started_and_closed_when_stopped(folder: Path) -> None:
    before = threads()
    with free_server(folder) as server:
        urls = [server.rest_url, server.grpc_url]
        assert urls == [f"http://localhost:{server.rest_port}", f"grpc://localhost:{server.grpc_port}"]
        for url in urls:
            with Client(url) as client:
                assert client.predict("linear", X)["total"].tolist() == [3.0]
    for url in urls:
        with (
            Client(url, timeout=5) as client,
            pytest.raises(ConnectionFailedError, match="cannot be reached"),
        ):
            client.status("linear")
    assert threads() <= before


def test_process_wide_settings_stay_unchanged(folder: Path) -> None:
    """Garbage collection at a load would take seconds in a program of many objects, and stop its threads."""
    gc.freeze()  # and not thawed again: what earlier files have left is frozen, too
    frozen, others = gc.get_freeze_count(), (gc.get_threshold(), sys.getswitchinterval())
    for _ in range(2):
        with free_server(folder):
            assert frozen // 2 < gc.get_freeze_count() <= frozen  # some are freed, as always
        assert frozen // 2 < gc.get_freeze_count() <= frozen
    assert (gc.get_threshold(), sys.getswitchinterval()) == others


def test_it_can_be_restarted(folder: Path) -> None:
    server = free_server(folder, grpc_port=None)
    for _ in range(2):
        with server, Client(server.rest_url) as client:
            assert versions(client) == {1: "AVAILABLE"}
    server.stop()  # once more does no harm


def test_a_protocol_can_be_off(folder: Path) -> None:
    with free_server(folder, rest_port=None) as server:
        assert server.rest_port is None
        with pytest.raises(ServerStartError, match="rest_port is None: it has no address as it is off"):
            _ = server.rest_url
        with Client(server.grpc_url) as client:
            assert versions(client) == {1: "AVAILABLE"}


@pytest.mark.parametrize("name", ["rest_port", "grpc_port"])
def test_a_taken_port_is_named(folder: Path, name: str) -> None:
    before = threads()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = free_server(folder, **{name: port})
        with pytest.raises(ServerStartError) as caught:
            server.start()
    assert f"{name} {port} on 127.0.0.1 is in use by another program. Stop it, pass another port" in str(
        caught.value
    )
    assert threads() <= before


def test_two_servers_cannot_share_a_port(folder: Path) -> None:
    with free_server(folder) as first:
        for ports in ({"rest_port": first.rest_port}, {"grpc_port": first.grpc_port}):
            with pytest.raises(ServerStartError, match="is in use by another program"):
                free_server(folder, **ports).start()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"rest_port": 70000},
            "rest_port: expected a port number, 0 for a free one, or None for off, got 70000",
        ),
        (
            {"rest_port": None, "grpc_port": None},
            "rest_port, grpc_port: expected at least one port, got None",
        ),
        ({"rest_port": 8500, "grpc_port": 8500}, "rest_port, grpc_port: expected two ports, got 8500"),
        ({"poll_seconds": 0}, "poll_seconds: expected seconds above 0, or None to load once, got 0"),
    ],
)
def test_invalid_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        free_server(Path("releases"), **options)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "there is no folder .*nowhere: export a model into it first"),
        ("file", "file is a file: give the folder that holds <name>/<version>/"),
        ("empty", "empty holds no release: a release is a folder <name>/<version>/ with a saved_model.pb"),
        ("all/linear", "linear is the folder of one model: give the one above, .*all"),
        ("all/linear/1", "1 is one version of a model: give the folder two levels up, .*all"),
    ],
)
def test_a_folder_with_nothing_to_serve(folder: Path, path: str, message: str) -> None:
    (folder / "file").touch()
    (folder / "empty").mkdir()
    (folder / "all").mkdir()
    (folder / "linear").rename(folder / "all" / "linear")
    with pytest.raises(ServerStartError, match=f"^Nothing to serve: .*{message}"):
        free_server(folder / path).start()


def test_only_numbered_folders_are_versions(folder: Path) -> None:
    for name in (".staging-2", "2.tmp", "two", "-2"):
        shutil.copytree(folder / "linear" / "1", folder / "linear" / name)
    (folder / "linear" / "5").touch()  # a file
    (folder / "notes").mkdir()
    with free_server(folder) as server, Client(server.rest_url) as client:
        assert versions(client) == {1: "AVAILABLE"}
        with pytest.raises(NotFoundError):
            client.status("notes")


def test_incomplete_versions_are_reported_while_others_serve(folder: Path) -> None:
    cut = folder / "linear" / "3"
    shutil.copytree(folder / "linear" / "1", cut)
    for file in (cut / "variables").iterdir():
        file.write_bytes(file.read_bytes()[:10])
    (folder / "linear" / "2").mkdir()
    (folder / "garbage" / "1").mkdir(parents=True)
    (folder / "garbage" / "1" / "saved_model.pb").write_bytes(b"\x00garbage")
    with free_server(folder, require_models=False) as server:
        for url in (server.rest_url, server.grpc_url):
            with Client(url) as client:
                assert versions(client) == {3: "END", 2: "END", 1: "AVAILABLE"}
                errors = [version.error for version in client.status("linear")]
                assert errors[0]
                assert "SavedModel file does not exist" in errors[1]
                assert not errors[2]
                (garbage,) = client.status("garbage")
                assert "Cannot parse file" in garbage.error or "MetaGraphDef" in garbage.error
                assert client.predict("linear", X)["total"].tolist() == [3.0]
                with pytest.raises(NotFoundError, match=r"Servable not found for request: Latest\(garbage\)"):
                    client.predict("garbage", X)


def test_a_new_version_takes_over_under_load(folder: Path) -> None:
    expected = {1: 10.0 * -0.5, 2: 100.0 * -0.5}  # y[0, 0] of a row of ones with each version's scale
    failures: list[BaseException] = []
    seen: set[float] = set()
    done = threading.Event()

    def load(url: str) -> None:
        try:
            with Client(url) as client:
                while not done.is_set():
                    seen.add(float(client.predict("linear", -X)["y"][0, 0]))
        except BaseException as error:
            failures.append(error)

    with free_server(folder) as server, Client(server.grpc_url) as client:
        threads = [threading.Thread(target=load, args=(url,)) for url in (server.rest_url, server.grpc_url)]
        for thread in threads:
            thread.start()
        try:
            save_linear(folder / "linear" / ".staging", scale=100.0)
            (folder / "linear" / ".staging").rename(folder / "linear" / "2")
            eventually(lambda: versions(client) == {2: "AVAILABLE", 1: "END"})
            eventually(lambda: len(seen) == 2)
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert not failures
    assert seen == set(expected.values())


def test_a_repaired_version_is_loaded(folder: Path) -> None:
    version = folder / "linear" / "2"
    shutil.copytree(folder / "linear" / "1", version)
    whole = (version / "saved_model.pb").read_bytes()
    (version / "saved_model.pb").write_bytes(whole[:100])
    with free_server(folder) as server, Client(server.rest_url) as client:
        assert versions(client) == {2: "END", 1: "AVAILABLE"}
        (version / "saved_model.pb").write_bytes(whole)
        eventually(lambda: versions(client) == {2: "AVAILABLE", 1: "END"})
