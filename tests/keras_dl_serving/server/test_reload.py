"""A reload that is refused changes nothing; one that is served moves labels without a gap."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keras_dl_serving import NotFoundError
from keras_dl_serving.errors import FailedPreconditionError, InternalError
from keras_dl_serving.server.core import Core, ModelSpec, Retries, State
from keras_dl_serving.server.lifecycle import Lifecycle, Poller
from keras_dl_serving.server.model_configs import ModelConfig, VersionPolicy
from keras_dl_serving.server.releases import VersionFolder
from tests._support.fake_engine import FakeEngine
from tests._support.waiting import eventually

COMPLAINT = "^Request to assign label to version {} of model {}, which is not currently available"


class Loader:
    """A loader that opens fake engines and records them; those in `broken` fail."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.broken: set[str] = set()

    def __call__(self, version: VersionFolder) -> FakeEngine:
        name = f"{version.path.parent.name}/{version.number}"
        self.opened.append(name)
        if name in self.broken:
            raise InternalError("broken")
        return FakeEngine()


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def core(loader: Loader) -> Iterator[Core]:
    core = Core(loader)
    yield core
    core.close()


def model(folder: Path, name: str, *versions: int, newest: int | None = 1, **labels: int) -> ModelConfig:
    for version in versions:
        (folder / name / str(version)).mkdir(parents=True, exist_ok=True)
    return ModelConfig(name, folder / name, policy=VersionPolicy(newest), labels=labels)


def served(core: Core) -> dict[str, list[int]]:
    found = {
        name: [each.version for each in core.states(ModelSpec(name)) if each.state is State.AVAILABLE]
        for name in core.names()
    }
    return {name: versions for name, versions in found.items() if versions}


@pytest.fixture
def lifecycle(core: Core, tmp_path: Path) -> Lifecycle:
    """`a` 1 with a label, and `b` 1."""
    lifecycle = Lifecycle(core, models=[model(tmp_path, "a", 1, stable=1), model(tmp_path, "b", 1)])
    lifecycle.start(Retries())
    return lifecycle


def test_a_label_for_a_missing_version_refuses_the_reload(
    lifecycle: Lifecycle, core: Core, loader: Loader, tmp_path: Path
) -> None:
    loader.opened.clear()
    with pytest.raises(FailedPreconditionError, match=COMPLAINT.format(7, "a")):
        lifecycle.reload([model(tmp_path, "a", stable=7), model(tmp_path, "c", 1)])
    assert served(core) == {"a": [1], "b": [1]}
    assert core.labels("a") == {"stable": 1}
    assert not loader.opened
    lifecycle.poll()
    assert served(core) == {"a": [1], "b": [1]}


def test_a_label_for_an_unrequested_version_refuses_the_reload(
    lifecycle: Lifecycle, core: Core, loader: Loader, tmp_path: Path
) -> None:
    loader.opened.clear()
    with pytest.raises(FailedPreconditionError, match=COMPLAINT.format(1, "c")):
        lifecycle.reload([model(tmp_path, "c", 1, 2, stable=1)])
    with pytest.raises(FailedPreconditionError, match=COMPLAINT.format(1, "a")):  # as 2 would take its place
        lifecycle.reload([model(tmp_path, "a", 2, stable=1)])
    assert served(core) == {"a": [1], "b": [1]}
    assert not loader.opened


def test_a_label_for_a_version_that_fails_to_load_refuses_the_reload(
    lifecycle: Lifecycle, core: Core, loader: Loader, tmp_path: Path
) -> None:
    loader.broken = {"c/1"}
    wanted = [model(tmp_path, "c", 1, stable=1), model(tmp_path, "d", 1)]
    with pytest.raises(FailedPreconditionError, match=COMPLAINT.format(1, "c")):
        lifecycle.reload(wanted)
    assert served(core) == {"a": [1], "b": [1]}
    assert core.labels("a") == {"stable": 1}
    loader.opened.clear()
    with pytest.raises(FailedPreconditionError, match=COMPLAINT.format(1, "c")):
        lifecycle.reload(wanted)
    assert not loader.opened  # as it is known by now not to load


def test_a_label_may_name_a_version_of_the_same_reload(
    lifecycle: Lifecycle, core: Core, tmp_path: Path
) -> None:
    lifecycle.reload([model(tmp_path, "a", 2, stable=2), model(tmp_path, "c", 1, 2, newest=None, old=1)])
    assert served(core) == {"a": [2], "c": [2, 1]}
    assert (core.labels("a"), core.labels("c")) == ({"stable": 2}, {"old": 1})


def test_a_label_that_moves_always_has_a_version(lifecycle: Lifecycle, core: Core, tmp_path: Path) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                with core.use(ModelSpec("a", label="stable")):
                    pass
            except NotFoundError as error:
                failures.append(error)
            time.sleep(1e-5)  # lest it take all of Python's time

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for version in range(2, 40):
            lifecycle.reload([model(tmp_path, "a", version, stable=version)])
    finally:
        done.set()
        asking.join()
    assert not failures


def test_a_config_file_is_retried_until_it_is_served(
    lifecycle: Lifecycle, core: Core, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "models.config"
    file.write_text("")
    poller = Poller(lifecycle, None, file, 0.02)
    try:
        file.write_text(
            f"model_config_list {{ config {{ name: 'a' base_path: '{tmp_path / 'a'}' "
            "model_platform: 'tensorflow' version_labels { key: 'stable' value: 2 } } }"
        )
        with caplog.at_level(logging.ERROR):
            eventually(lambda: "Request to assign label to version 2" in caplog.text)
            threading.Event().wait(0.3)
        assert caplog.text.count("Request to assign label to version 2") == 1
        assert served(core) == {"a": [1], "b": [1]}
        model(tmp_path, "a", 2)
        eventually(lambda: core.labels("a") == {"stable": 2})
        assert served(core) == {"a": [2]}
    finally:
        poller.stop()
        poller.join()
