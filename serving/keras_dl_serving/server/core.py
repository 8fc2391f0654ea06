"""Models, their versions and the states of these, by TensorFlow Serving's rules.

A version goes START -> LOADING -> AVAILABLE -> UNLOADING -> END, or from LOADING to END with an error if it
cannot be loaded. A policy selects the versions to serve, by default the newest that loads. New versions are
AVAILABLE before old ones are unloaded, and an old version is closed when its last request is done.
"""

from __future__ import annotations

import enum
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import (
    CancelledError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    StatusError,
    UnknownError,
)
from keras_dl_serving.server.engines.engine import Cancellation, Engine
from keras_dl_serving.server.model_configs import VersionPolicy
from keras_dl_serving.server.releases import VersionFolder

_log = logging.getLogger("keras_dl_serving")
Found = Mapping[str, list[VersionFolder] | None]


class State(enum.IntEnum):
    """The state of a version; the numbers are the protocol's."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class ModelSpec:
    """A model and one of its versions: by number, by label, or the latest."""

    name: str
    version: int | None = None
    label: str | None = None


class Servable:
    """One version of a model.

    Attributes:
        name: the model's name.
        version: the version's number.
        state: the state of the version.
        error: the reason why it could not be loaded.
        failures: how often loading has failed.
        failed_at: the time of the last failure, by the monotonic clock.
    """

    def __init__(self, name: str, folder: VersionFolder, failures: int = 0) -> None:
        self.name = name
        self.failures = failures
        self.failed_at = 0.0
        self.version = folder.number
        self.folder = folder
        self.state = State.START
        self.error: StatusError | None = None
        self._engine: Engine | None = None
        self._users = 0
        self._changed = threading.Condition()

    @property
    def engine(self) -> Engine:
        """The engine, while the servable is in use."""
        assert self._engine is not None, (
            "a servable is asked for its engine between `acquire` and `release` only"
        )
        return self._engine

    def load(self, open_version: Callable[[VersionFolder], Engine]) -> None:
        """Load the version; afterwards its state is AVAILABLE, or END with an error."""
        self.state = State.LOADING
        try:
            self._engine = open_version(self.folder)
        except StatusError as error:
            self.error = error
        except Exception as error:
            _log.exception("Loading %s failed", self)
            self.error = UnknownError(f"{type(error).__name__}: {error}")
        if self.error:
            self.failures += 1
            self.failed_at = time.monotonic()
        self.state = State.END if self.error else State.AVAILABLE

    def acquire(self) -> bool:
        """Acquire the servable for a request; return False if it is being unloaded."""
        with self._changed:
            if self.state is not State.AVAILABLE:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """Release the servable after a request."""
        with self._changed:
            self._users -= 1
            if not self._users:
                self._changed.notify_all()

    def run(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        cancellation: Cancellation | None = None,
    ) -> list[Array]:
        """Run the engine, which stays open until the run ends, even if its request is cancelled.

        Raises:
            StatusError: the run fails.
            CancelledError: the request was cancelled before its turn, and the servable has been unloaded.
        """
        with self._changed:
            if self._engine is None:
                raise CancelledError("The request was cancelled")
            self._users += 1
        try:
            return self._engine.run(signature_name, inputs, outputs, cancellation)
        finally:
            self.release()

    def unload(self) -> None:
        """Wait for the requests in flight, then close the engine."""
        with self._changed:
            self.state = State.UNLOADING
            self._changed.wait_for(lambda: not self._users)
            engine, self._engine = self._engine, None
        if engine:
            engine.close()
        self.state = State.END

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.version}}}"


@dataclass(frozen=True)
class Retries:
    """The retries of a version that fails to load: how many, and how many seconds apart."""

    count: int = 0
    seconds: float = 60.0


class Core:
    """All servables of a server.

    Args:
        open_version: loads a version's folder into an engine.
        retries: retries after a failure. A version is also retried when its files change.
    """

    def __init__(self, open_version: Callable[[VersionFolder], Engine], retries: Retries = Retries()) -> None:
        self._open_version = open_version
        self._retries = retries
        self._servables: dict[str, dict[int, Servable]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()  # held by one `serve` at a time; requests only read

    @contextmanager
    def use(self, spec: ModelSpec) -> Iterator[Servable]:
        """Yield the servable that a request names; it stays loaded during the block.

        Raises:
            InvalidArgumentError: the name is missing, or the label is unknown.
            NotFoundError: no such model or version is AVAILABLE.
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
            raise InvalidArgumentError("ModelSpec has no name specified.")
        number = spec.version
        if spec.label is not None:
            number = self._labels.get(spec.name, {}).get(spec.label)
            if number is None:
                raise InvalidArgumentError(f"Unrecognized servable version label: {spec.label}")
        versions = self._servables.get(spec.name, {})
        if number is None:
            # A copy, as loading another version may add to it in the meantime.
            for servable in sorted(versions.copy().values(), key=lambda each: -each.version):
                if servable.state is State.AVAILABLE:
                    return servable
            raise NotFoundError(f"Servable not found for request: Latest({spec.name})")
        found = versions.get(number)
        if found is None or found.state is not State.AVAILABLE:
            if spec.label is not None and self._labels.get(spec.name, {}).get(spec.label) != number:
                return self._find(spec)  # the label has moved in the meantime
            raise NotFoundError(f"Servable not found for request: Specific({spec.name}, {number})")
        return found

    def names(self) -> list[str]:
        """Return all models that have been loaded or tried, in alphabetical order."""
        return sorted(self._servables)

    def knows(self, name: str) -> bool:
        """Return whether a version of this model has been loaded or tried."""
        return name in self._servables

    def labels(self, name: str) -> dict[str, int]:
        """Return the labels of a model's versions."""
        return dict(self._labels.get(name, {}))

    def states(self, spec: ModelSpec) -> list[Servable]:
        """Return all versions of a model that have been loaded or tried, newest first. A label is ignored.

        Raises:
            NotFoundError: there is no such model or version.
        """
        versions = self._servables.get(spec.name, {}).copy()
        if spec.version is not None:
            if spec.version not in versions:
                raise NotFoundError(f"Could not find version {spec.version} of model {spec.name}")
            return [versions[spec.version]]
        if not versions:
            raise NotFoundError(f"Could not find any versions of model {spec.name}")
        return [versions[version] for version in sorted(versions, reverse=True)]

    def serve(self, found: Found, policies: Mapping[str, VersionPolicy] | None = None) -> bool:
        """Serve exactly the versions that the policies select of those found.

        Args:
            found: models with their versions, newest first; None for a model that stays unchanged.
            policies: the policies by model; by default the newest version that loads.

        Returns:
            Whether anything was loaded or unloaded.
        """
        changed = False
        with self._lock:
            for name in self._names(found):
                loaded, unwanted = self._load(
                    name, found.get(name, []), (policies or {}).get(name, VersionPolicy())
                )
                changed |= bool(loaded) | self._unload(unwanted)
        return changed

    def replace(
        self,
        found: Found,
        policies: Mapping[str, VersionPolicy],
        labels: Mapping[str, Mapping[str, int]],
        *,
        allow_unavailable_labels: bool = False,
    ) -> bool:
        """Serve these models and labels instead: load and label the new versions, then unload the others.

        Raises:
            FailedPreconditionError: a label names a version that is not available. Nothing has changed.
        """
        with self._lock:
            self._check_labels(labels, self._expected(found, policies), allow_unavailable_labels)
            changes = [
                self._load(name, found.get(name, []), policies.get(name, VersionPolicy()))
                for name in self._names(found)
            ]
            try:
                self.set_labels(labels, allow_unavailable=allow_unavailable_labels)
            except FailedPreconditionError:  # the version of a label did not load
                for loaded, _ in changes:
                    self._unload(loaded)
                raise
            unloaded = [self._unload(unwanted) for _, unwanted in changes]
        return any(unloaded) or any(loaded for loaded, _ in changes)

    def _names(self, found: Found) -> list[str]:
        return sorted({*found, *self._servables})

    def _expected(self, found: Found, policies: Mapping[str, VersionPolicy]) -> dict[str, set[int]]:
        """Return the versions that will be served if every version that has not failed yet loads."""
        expected = self._available()
        for name, folders in found.items():
            policy, servables = policies.get(name, VersionPolicy()), self._servables.get(name, {})
            numbers = [
                folder.number
                for folder in folders or []
                if (not policy.specific or folder.number in policy.specific)
                and (
                    (servable := servables.get(folder.number)) is None
                    or servable.state is State.AVAILABLE
                    or self._is_to_be_loaded(servable, folder)
                )
            ]
            if numbers:  # otherwise the served versions stay
                expected[name] = {*numbers} if policy.specific else {*numbers[: policy.newest]}
        return expected

    def _available(self) -> dict[str, set[int]]:
        return {
            name: {number for number, each in versions.copy().items() if each.state is State.AVAILABLE}
            for name, versions in self._servables.copy().items()
        }

    def _load(
        self, name: str, folders: list[VersionFolder] | None, policy: VersionPolicy
    ) -> tuple[list[Servable], list[Servable]]:
        """Load the selected versions of a model; return these, and the versions to unload."""
        if folders is None:
            return [], []
        versions = self._servables.setdefault(name, {}) if folders else self._servables.get(name, {})
        available = {version for version, servable in versions.items() if servable.state is State.AVAILABLE}
        loaded = []
        chosen: set[int] = set()
        for folder in folders:
            if policy.specific and folder.number not in policy.specific:
                continue
            servable = versions.get(folder.number)
            if servable is None or self._is_to_be_loaded(servable, folder):
                failures = servable.failures if servable and servable.folder.stamp == folder.stamp else 0
                servable = versions[folder.number] = Servable(name, folder, failures)
                servable.load(self._open_version)
                loaded.append(servable)
                _report(servable)
            if servable.state is State.AVAILABLE:
                chosen.add(folder.number)
                if not policy.specific and len(chosen) == policy.newest:
                    break
        # If none of the selected versions can be loaded, the served versions stay.
        unwanted = available - chosen if chosen or not folders else set()
        return loaded, [versions[version] for version in unwanted]

    def _unload(self, servables: list[Servable]) -> bool:
        served = [servable for servable in servables if servable.state is State.AVAILABLE]
        for servable in served:
            servable.unload()
            _log.info("Unloaded servable %s", servable)
        return bool(served)

    def _is_to_be_loaded(self, servable: Servable, folder: VersionFolder) -> bool:
        """Return whether to load a version; a failed one only if it has changed or is due for a retry."""
        if servable.state is State.AVAILABLE:
            return False
        if servable.error is None or servable.folder.stamp != folder.stamp:
            return True
        due = servable.failed_at + self._retries.seconds
        return servable.failures <= self._retries.count and time.monotonic() >= due

    def set_labels(self, labels: Mapping[str, Mapping[str, int]], *, allow_unavailable: bool = False) -> None:
        """Set the labels of all models at once, and remove those that are not named.

        Args:
            labels: by model, the version of each label.
            allow_unavailable: whether a new label may name a version that is not available yet. A label in
                use never moves to such a version.

        Raises:
            FailedPreconditionError: a version is not AVAILABLE. No label has changed.
        """
        self._check_labels(labels, self._available(), allow_unavailable)
        self._labels = {name: dict(versions) for name, versions in labels.items()}

    def _check_labels(
        self,
        labels: Mapping[str, Mapping[str, int]],
        available: Mapping[str, set[int]],
        allow_unavailable: bool,
    ) -> None:
        for name, versions in labels.items():
            for label, version in versions.items():
                moves = self._labels.get(name, {}).get(label, version) != version
                if allow_unavailable and not moves:
                    continue
                if version not in available.get(name, ()):
                    raise FailedPreconditionError(
                        f"Request to assign label to version {version} of model {name}, which is not "
                        "currently available for inference"
                    )

    def close(self) -> None:
        """Unload all models."""
        self.serve({})


def _report(servable: Servable) -> None:
    if servable.error:
        _log.error("Loading servable %s failed: %s", servable, servable.error)
    else:
        _log.info("Loaded servable %s from %s", servable, servable.folder.path)
