"""Versions, their states, and the replacement of one by the next."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import CancelledError, InternalError, InvalidArgumentError, NotFoundError
from keras_dl_serving.server.core import Core, ModelSpec, State
from keras_dl_serving.server.releases import VersionFolder
from tests._support.fake_engine import FakeEngine, folder

M = ModelSpec("m")


class Loader:
    """A loader that opens fake engines; versions in `broken` fail."""

    def __init__(self) -> None:
        self.broken: set[int] = set()
        self.opened: list[int] = []
        self.engines: dict[int, FakeEngine] = {}
        self.before: Callable[[], None] = lambda: None

    def __call__(self, version: VersionFolder) -> FakeEngine:
        number = version.number
        self.opened.append(number)
        self.before()
        if number in self.broken:
            raise InternalError(f"version {number} is broken")
        self.engines[number] = FakeEngine()
        return self.engines[number]


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def core(loader: Loader) -> Core:
    return Core(loader)


def states(core: Core) -> dict[int, str]:
    return {servable.version: servable.state.name for servable in core.states(M)}


def test_the_newest_version_is_loaded_alone(core: Core, loader: Loader) -> None:
    core.serve({"m": [folder(10), folder(9), folder(2)]})
    assert loader.opened == [10]
    with core.use(M) as servable:
        assert servable.version == 10


def test_failed_lookups_name_the_request(core: Core) -> None:
    core.serve({"m": [folder(1)]})
    for spec, kind, message in (
        (ModelSpec("other"), NotFoundError, "Servable not found for request: Latest(other)"),
        (ModelSpec("m", version=99), NotFoundError, "Servable not found for request: Specific(m, 99)"),
        (ModelSpec("m", label="canary"), InvalidArgumentError, "Unrecognized servable version label: canary"),
        (ModelSpec(""), InvalidArgumentError, "ModelSpec has no name specified."),
    ):
        with pytest.raises(kind) as caught, core.use(spec):
            pass
        assert caught.value.message == message
    with pytest.raises(NotFoundError, match=r"^Could not find any versions of model other$"):
        core.states(ModelSpec("other"))
    with pytest.raises(NotFoundError, match=r"^Could not find version 7 of model m$"):
        core.states(ModelSpec("m", version=7))


def test_the_new_version_is_available_before_the_old_one_is_unloaded(core: Core, loader: Loader) -> None:
    core.serve({"m": [folder(1)]})
    seen: list[dict[int, str]] = []
    loader.before = lambda: seen.append(states(core))
    core.serve({"m": [folder(2), folder(1)]})
    assert seen == [{2: "LOADING", 1: "AVAILABLE"}]
    assert states(core) == {2: "AVAILABLE", 1: "END"}
    assert loader.engines[1].closed.is_set()
    assert [servable.version for servable in core.states(M)] == [2, 1]


def test_a_request_finishes_on_the_version_it_started_on(core: Core, loader: Loader) -> None:
    core.serve({"m": [folder(1)]})
    with core.use(M) as servable:
        swap = threading.Thread(target=core.serve, args=({"m": [folder(2), folder(1)]},))
        swap.start()
        while states(core) != {2: "AVAILABLE", 1: "UNLOADING"}:
            assert swap.is_alive()
        assert not loader.engines[1].closed.is_set()
        assert servable.engine is loader.engines[1]
        with core.use(M) as newer:  # while later ones go to the new version
            assert newer.version == 2
    swap.join(timeout=10)
    assert loader.engines[1].closed.is_set()
    assert states(core) == {2: "AVAILABLE", 1: "END"}


def test_a_run_keeps_its_version_open_when_the_request_is_abandoned(core: Core, loader: Loader) -> None:
    core.serve({"m": [folder(1)]})
    engine, began, go_on = loader.engines[1], threading.Event(), threading.Event()

    def answer(x: Array) -> Array:
        began.set()
        assert go_on.wait(10)
        return x

    engine._answer = answer
    run = ("serving_default", {"x": np.ones(1, np.float32)}, ["y"])
    with core.use(M) as servable:
        running = threading.Thread(target=servable.run, args=run)
        running.start()
        assert began.wait(10)
    swap = threading.Thread(target=core.serve, args=({"m": [folder(2), folder(1)]},))
    swap.start()
    while states(core) != {2: "AVAILABLE", 1: "UNLOADING"}:
        assert swap.is_alive()
    assert not engine.closed.is_set()
    go_on.set()
    running.join(10)
    swap.join(10)
    assert engine.closed.is_set()
    with pytest.raises(CancelledError):  # its turn comes too late
        servable.run(*run)


def test_a_broken_version_is_reported_while_the_old_one_serves(core: Core, loader: Loader) -> None:
    loader.broken = {2}
    core.serve({"m": [folder(1)]})
    core.serve({"m": [folder(2), folder(1)]})
    assert states(core) == {2: "END", 1: "AVAILABLE"}
    (broken,) = core.states(ModelSpec("m", version=2))
    assert str(broken.error) == "version 2 is broken"
    with core.use(M) as servable:
        assert servable.version == 1


def test_the_newest_loadable_version_is_served_at_the_start(core: Core, loader: Loader) -> None:
    loader.broken = {3}
    core.serve({"m": [folder(3), folder(2), folder(1)]})
    assert states(core) == {3: "END", 2: "AVAILABLE"}


def test_a_broken_version_is_retried_when_its_files_change(core: Core, loader: Loader) -> None:
    loader.broken = {1}
    for _ in range(3):
        core.serve({"m": [folder(1, stamp=1)]})
    assert loader.opened == [1]
    loader.broken = set()
    core.serve({"m": [folder(1, stamp=2)]})
    assert loader.opened == [1, 1]
    assert states(core) == {1: "AVAILABLE"}


def test_a_model_whose_folder_is_removed_is_unloaded(core: Core, loader: Loader) -> None:
    core.serve({"m": [folder(1)], "n": [folder(5)]})
    core.serve({"n": [folder(5)]})
    assert states(core) == {1: "END"}
    with pytest.raises(NotFoundError), core.use(M):
        pass
    core.serve({"m": [folder(1)], "n": [folder(5)]})
    assert states(core) == {1: "AVAILABLE"}
    assert loader.opened == [1, 5, 1]


def test_states_have_the_numbers_of_the_protocol() -> None:
    from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

    assert {state.name: int(state) for state in State}.items() <= dict(
        ModelVersionStatus.State.items()
    ).items()
