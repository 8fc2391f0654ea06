"""Models, their versions and the states these go through, in TensorFlow Serving's own words.

A version goes START -> LOADING -> AVAILABLE -> UNLOADING -> END, or from LOADING to END with an error when
it cannot be loaded. The newest version that loads is served; it is AVAILABLE before the old one is
unloaded, and the old one is closed when the last request that began on it is done.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keras_dl_serving.errors import InvalidArgument, NotFound, StatusError, Unknown
from keras_dl_serving.server.engines import Engine, open_engine
from keras_dl_serving.server.releases import VersionFolder

_log = logging.getLogger("keras_dl_serving")


class State(enum.IntEnum):
    """Where a version is in its life; the numbers are those of the protocol."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class ModelSpec:
    """Which model, and which version of it: a number, a label, or the latest."""

    name: str
    version: int | None = None
    label: str | None = None


class Servable:
    """One version of a model.

    Attributes:
        name: the model's.
        version: its number.
        state: where it is in its life.
        error: why it ended in END without having been served.
    """

    def __init__(self, name: str, folder: VersionFolder) -> None:
        self.name = name
        self.version = folder.number
        self.folder = folder
        self.state = State.START
        self.error: StatusError | None = None
        self._engine: Engine | None = None
        self._users = 0
        self._changed = threading.Condition()

    @property
    def engine(self) -> Engine:
        """What runs it, while it is in use."""
        assert self._engine is not None, (
            "a servable is asked for its engine between `acquire` and `release` only"
        )
        return self._engine

    def load(self, open_version: Callable[[Path], Engine]) -> None:
        """Load it; afterwards it is AVAILABLE, or END with an error."""
        self.state = State.LOADING
        try:
            self._engine = open_version(self.folder.path)
        except StatusError as error:
            self.error = error
        except Exception as error:
            _log.exception("Loading %s failed", self)
            self.error = Unknown(f"{type(error).__name__}: {error}")
        self.state = State.END if self.error else State.AVAILABLE

    def acquire(self) -> bool:
        """Take it into use; False when it is on its way out."""
        with self._changed:
            if self.state is not State.AVAILABLE:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """Give it back."""
        with self._changed:
            self._users -= 1
            if not self._users:
                self._changed.notify_all()

    def unload(self) -> None:
        """Let requests in flight finish, then close it."""
        with self._changed:
            self.state = State.UNLOADING
            self._changed.wait_for(lambda: not self._users)
        engine, self._engine = self._engine, None
        if engine:
            engine.close()
        self.state = State.END

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.version}}}"


class Core:
    """All servables of a server.

    Args:
        open_version: what makes an engine of a version's folder.
    """

    def __init__(self, open_version: Callable[[Path], Engine] = open_engine) -> None:
        self._open_version = open_version
        self._servables: dict[str, dict[int, Servable]] = {}
        self._lock = threading.Lock()  # around one `serve` at a time; requests only read

    @contextmanager
    def use(self, spec: ModelSpec) -> Iterator[Servable]:
        """The servable that a request means, kept loaded while the block runs.

        Raises:
            InvalidArgument: no name, or an unknown label.
            NotFound: no such model or version is AVAILABLE.
        """
        servable = self._find(spec)
        while not servable.acquire():
            servable = self._find(spec)
        try:
            yield servable
        finally:
            servable.release()

    def _find(self, spec: ModelSpec) -> Servable:
        if not spec.name:
            raise InvalidArgument("ModelSpec has no name specified.")
        if spec.label is not None:  # a folder alone gives no version a label
            raise InvalidArgument(f"Unrecognized servable version label: {spec.label}")
        versions = self._servables.get(spec.name, {})
        if spec.version is None:
            # A copy, as loading another version may add to it meanwhile.
            for servable in sorted(versions.copy().values(), key=lambda each: -each.version):
                if servable.state is State.AVAILABLE:
                    return servable
            raise NotFound(f"Servable not found for request: Latest({spec.name})")
        found = versions.get(spec.version)
        if found is None or found.state is not State.AVAILABLE:
            raise NotFound(f"Servable not found for request: Specific({spec.name}, {spec.version})")
        return found

    def names(self) -> list[str]:
        """The models that have ever been served or tried, in alphabetical order."""
        return sorted(self._servables)

    def states(self, spec: ModelSpec) -> list[Servable]:
        """The versions of a model that have ever been served or tried, newest first. A label is ignored.

        Raises:
            NotFound: there is none.
        """
        versions = self._servables.get(spec.name, {}).copy()
        if spec.version is not None:
            if spec.version not in versions:
                raise NotFound(f"Could not find version {spec.version} of model {spec.name}")
            return [versions[spec.version]]
        if not versions:
            raise NotFound(f"Could not find any versions of model {spec.name}")
        return [versions[version] for version in sorted(versions, reverse=True)]

    def serve(self, found: Mapping[str, list[VersionFolder]]) -> bool:
        """Serve the newest version that loads of every model found, and nothing else.

        Args:
            found: models with their versions, newest first.

        Returns:
            Whether anything was loaded or unloaded.
        """
        with self._lock:
            names = sorted({*found, *self._servables})
            changed = [self._serve_model(name, found.get(name, [])) for name in names]
        return any(changed)

    def _serve_model(self, name: str, folders: list[VersionFolder]) -> bool:
        versions = self._servables.setdefault(name, {})
        available = {version for version, servable in versions.items() if servable.state is State.AVAILABLE}
        loaded = False
        chosen: int | None = None
        for folder in folders:
            servable = versions.get(folder.number)
            if not _is_current(servable, folder):
                servable = versions[folder.number] = Servable(name, folder)
                servable.load(self._open_version)
                loaded = True
                _report(servable)
            if servable is not None and servable.state is State.AVAILABLE:
                chosen = folder.number
                break
        for version in available - {chosen}:
            versions[version].unload()
            _log.info("Unloaded servable %s", versions[version])
        return loaded or bool(available - {chosen})

    def close(self) -> None:
        """Unload everything."""
        self.serve({})


def _is_current(servable: Servable | None, folder: VersionFolder) -> bool:
    """Whether a version needs no loading: it is served, or has failed and is still the same on disk."""
    if servable is None:
        return False
    if servable.state is State.AVAILABLE:
        return True
    return servable.error is not None and servable.folder.stamp == folder.stamp


def _report(servable: Servable) -> None:
    if servable.error:
        _log.error("Loading servable %s failed: %s", servable, servable.error)
    else:
        _log.info("Loaded servable %s from %s", servable, servable.folder.path)
