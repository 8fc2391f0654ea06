"""A folder that is missing for a moment, or unreadable, unloads nothing; an empty one does."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from keras_dl_serving.server import releases
from keras_dl_serving.server.core import Core, ModelSpec, Retries, State
from keras_dl_serving.server.lifecycle import Lifecycle
from keras_dl_serving.server.model_configs import ModelConfig
from tests._support.fake_engine import FakeEngine


@pytest.fixture
def core() -> Iterator[Core]:
    core = Core(lambda _: FakeEngine())
    yield core
    core.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`m` 1 and `n` 1."""
    for name in "mn":
        (tmp_path / "releases" / name / "1").mkdir(parents=True)
    return tmp_path / "releases"


def states(core: Core) -> dict[str, list[State]]:
    return {name: [each.state for each in core.states(ModelSpec(name))] for name in core.names()}


ALL = {"m": [State.AVAILABLE], "n": [State.AVAILABLE]}
WITHOUT_M = {"m": [State.END], "n": [State.AVAILABLE]}


def unreadable(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Simulate a network that is down; permissions would not suffice, because tests may run as root."""
    scandir = os.scandir

    def fail(path: str | Path) -> object:
        if Path(path) == folder:
            raise OSError(116, "Stale file handle")
        return scandir(path)

    monkeypatch.setattr(releases.os, "scandir", fail)


def test_a_base_path_that_is_missing_for_a_moment(
    core: Core, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lifecycle = Lifecycle(core, models=[ModelConfig(name, folder / name) for name in "mn"])
    lifecycle.start(Retries())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            (folder / "m").rename(folder / "elsewhere")
            for _ in range(3):
                lifecycle.poll()
            assert states(core) == ALL
            assert not lifecycle.missing()
            (folder / "elsewhere").rename(folder / "m")
            lifecycle.poll()
    complaint = f"Could not find base path {folder / 'm'} for servable m: what is served stays"
    assert caplog.text.count(complaint) == 2  # once each time
    assert states(core) == ALL
    (folder / "m" / "1").rmdir()
    lifecycle.poll()
    assert states(core) == WITHOUT_M


def test_a_base_path_that_cannot_be_read(core: Core, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lifecycle = Lifecycle(core, models=[ModelConfig(name, folder / name) for name in "mn"])
    lifecycle.start(Retries())
    unreadable(monkeypatch, folder / "m")
    (folder / "n" / "2").mkdir()
    lifecycle.poll()
    assert states(core) == {"m": [State.AVAILABLE], "n": [State.AVAILABLE, State.END]}


def test_a_folder_of_releases_that_is_missing_for_a_moment(core: Core, folder: Path) -> None:
    lifecycle = Lifecycle(core, folder)
    lifecycle.start(Retries())
    folder.rename(folder.with_name("elsewhere"))
    lifecycle.poll()
    assert states(core) == ALL
    folder.with_name("elsewhere").rename(folder)
    shutil.rmtree(folder / "m")  # in a folder that is there, that is meant
    lifecycle.poll()
    assert states(core) == WITHOUT_M


def test_a_model_of_a_folder_that_cannot_be_read(
    core: Core, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle = Lifecycle(core, folder)
    lifecycle.start(Retries())
    unreadable(monkeypatch, folder / "m")
    lifecycle.poll()
    assert states(core) == ALL
