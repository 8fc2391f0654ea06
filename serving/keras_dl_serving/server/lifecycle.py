"""The polling of what is to be served: a folder of releases, or a list of models."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from keras_dl_serving.errors import (
    FailedPreconditionError,
    NotFoundError,
    ServerStartError,
    StatusError,
    UnknownError,
)
from keras_dl_serving.protocol.text_files import read_file
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server import process, releases
from keras_dl_serving.server.core import Core, Found, ModelSpec, Retries, Servable, State
from keras_dl_serving.server.model_configs import (
    ModelConfig,
    VersionPolicy,
    check_platforms,
    model_configs,
)
from keras_dl_serving.server.releases import VersionFolder

_log = logging.getLogger("keras_dl_serving")
_Result = TypeVar("_Result")


class Lifecycle:
    """The models and versions that a core is to serve.

    Args:
        core: the core that serves them.
        folder: a folder of releases, all of which are served, or
        models: the models to serve.
        allow_unavailable_labels: whether a new label may name a version that is not available yet.
    """

    def __init__(
        self,
        core: Core,
        folder: Path | None = None,
        models: Sequence[ModelConfig] = (),
        *,
        allow_unavailable_labels: bool = False,
    ) -> None:
        self._core = core
        self._folder = folder
        self._models = tuple(models)
        self._allow_unavailable_labels = allow_unavailable_labels
        self._last: Found = {}
        self._warned: set[str] = set()
        self._lock = threading.RLock()  # held by one poll or reload at a time

    def start(self, retries: Retries, *, require_models: bool = True) -> None:
        """Load the models, and set their labels.

        Args:
            retries: retries of models that were named.
            require_models: whether a model without an available version is an error.

        Raises:
            UnknownError: a model that was named has versions, but after all retries none of them loads.
            FailedPreconditionError: a label names a version that is not available.
            ServerStartError: a model of the folder has no version that loads.
        """
        self.poll()
        if self._folder is None:
            for _ in range(retries.count):
                if not self._failed():
                    break
                time.sleep(retries.seconds)
                self.poll()
            if require_models:
                _refuse([_reason(servable) for servable in self._failed()], "servable")
        elif require_models:
            self._check_folder(self._folder)
        self._core.set_labels(_labels(self._models), allow_unavailable=self._allow_unavailable_labels)

    def poll(self) -> None:
        """Load new versions, and unload those that are no longer selected."""
        with self._lock:
            if (found := self._found()) is not None:
                self._last = found
                if self._core.serve(found, _policies(self._models)):
                    process.settle()

    def reload(self, models: Sequence[ModelConfig]) -> None:
        """Serve exactly these models from now on; return when they are loaded.

        Raises:
            StatusError: a model changes its platform or cannot be found, or a label names a version that is
                not available: nothing has changed; or a model cannot be loaded: the others are served.
        """
        with self._lock:
            check_platforms(self._models, models)
            for model in models:
                if not model.base_path.is_dir():
                    raise NotFoundError(
                        f"Could not find base path {model.base_path} for servable {model.name}"
                    )
            found = {model.name: self._versions(model) for model in models}
            changed = self._core.replace(
                found,
                _policies(models),
                _labels(models),
                allow_unavailable_labels=self._allow_unavailable_labels,
            )
            self._folder, self._models, self._last = None, tuple(models), found
            if changed:
                process.settle()
            failed = [_reason(servable) for servable in self._failed()]
            nowhere = [name for name in self.missing() if not self._core.knows(name)]
            _refuse([*failed, *(f"Could not find any versions of model {name}" for name in nowhere)], "model")

    def models(self) -> list[str]:
        """Return the models to serve, and those with a version that has not ended, in alphabetical order."""
        names = {
            name
            for name in self._core.names()
            if any(servable.state is not State.END for servable in self._states(name))
        }
        return sorted(names.union(self._last))

    def missing(self) -> list[str]:
        """Return the models without an available version; empty for a server without models."""
        return [
            name
            for name in self._last
            if not any(servable.state is State.AVAILABLE for servable in self._states(name))
        ]

    def _check_folder(self, folder: Path) -> None:
        missing = self.missing()
        if not missing:
            return
        failed = {servable.name: servable for servable in self._failed()}
        reasons = "; ".join(
            f"{name!r}, version {failed[name].version}: {_text(failed[name].error)}"
            if name in failed
            else f"{name!r}: its folder cannot be read"
            for name in missing
        )
        served = ", ".join(repr(name) for name in self.models() if name not in missing)
        raise ServerStartError(
            f"releases: expected models that load in {folder}, got {len(missing)} of {len(self._last)} that "
            f"did not: {reasons.rstrip('.')}. Export them again, remove their folders, or pass "
            f"require_models=False to serve {f'the others ({served})' if served else 'what loads later'}."
        )

    def _found(self) -> Found | None:
        """Return the models and versions on disk; None if the folder cannot be read."""
        if self._folder is not None:
            folder = self._folder
            return self._read(f"There is no folder {folder} that can be read", lambda: releases.scan(folder))
        return {model.name: self._versions(model) for model in self._models}

    def _versions(self, model: ModelConfig) -> list[VersionFolder] | None:
        found = self._read(
            f"Could not find base path {model.base_path} for servable {model.name}",
            lambda: releases.scan_versions(model.base_path, model.platform),
        )
        if found == [] and not self._core.knows(model.name):
            _log.warning("No versions of servable %s found under base path %s", model.name, model.base_path)
        return found

    def _read(self, complaint: str, scan: Callable[[], _Result]) -> _Result | None:
        """Return what a scan finds; None, with a warning the first time, if it cannot read the folder.

        So a short network failure, or a folder that is being renamed, unloads nothing.
        """
        try:
            found = scan()
        except OSError as error:
            if complaint not in self._warned:
                _log.warning("%s: what is served stays (%s)", complaint, error)
            self._warned.add(complaint)
            return None
        self._warned.discard(complaint)
        return found

    def _states(self, name: str) -> list[Servable]:
        return self._core.states(ModelSpec(name)) if self._core.knows(name) else []

    def _failed(self) -> list[Servable]:
        """Return, for each model without an available version, the newest on disk that failed to load."""
        failed = []
        for name in self.missing():
            numbers = {folder.number for folder in self._last[name] or []}
            failed += [each for each in self._states(name) if each.version in numbers and each.error][:1]
        return failed


def _policies(models: Sequence[ModelConfig]) -> Mapping[str, VersionPolicy]:
    return {model.name: model.policy for model in models}


def _labels(models: Sequence[ModelConfig]) -> Mapping[str, Mapping[str, int]]:
    return {model.name: model.labels for model in models if model.labels}


def _reason(servable: Servable) -> str:
    return f"{servable} due to error: {_text(servable.error)}"


def _text(error: StatusError | None) -> str:
    return f"{error.status.name}: {error.message}" if error else ""


def _refuse(failed: Sequence[str], noun: str) -> None:
    if failed:
        reasons = "".join(f"{{{reason}}}, " for reason in failed)
        raise UnknownError(f"{len(failed)} {noun}(s) did not become available: {{{reasons}}}")


class Poller:
    """Threads that poll for new versions, and for a new list of models in a config file.

    Args:
        lifecycle: the lifecycle to poll.
        poll_seconds: seconds between polls for new versions; None is never.
        config_file: the file with the models.
        config_poll_seconds: seconds between reads of that file; None is never.
        config: the content of the file when the lifecycle was started.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        poll_seconds: float | None,
        config_file: Path | None = None,
        config_poll_seconds: float | None = None,
        config: bytes = b"",
    ) -> None:
        self._lifecycle = lifecycle
        self._stopping = threading.Event()
        self._threads = []
        if poll_seconds is not None:
            self._threads.append(
                threading.Thread(
                    target=self._look, args=(poll_seconds,), name="keras_dl_releases", daemon=True
                )
            )
        if config_file is not None and config_poll_seconds is not None:
            self._threads.append(
                threading.Thread(
                    target=self._read,
                    args=(config_file, config_poll_seconds, config),
                    name="keras_dl_config",
                    daemon=True,
                )
            )
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop polling; a version that is being loaded is loaded to its end."""
        self._stopping.set()

    def join(self, seconds: float | None = None) -> bool:
        """Wait until polling has ended, for so many seconds at most; return whether it has."""
        for thread in self._threads:
            thread.join(seconds)
        return not any(thread.is_alive() for thread in self._threads)

    def _look(self, seconds: float) -> None:
        while not self._stopping.wait(seconds):
            try:
                self._lifecycle.poll()
            except Exception:
                _log.exception("Polling for new versions failed")

    def _read(self, file: Path, seconds: float, known: bytes | None) -> None:
        complaint = ""
        while not self._stopping.wait(seconds):
            try:
                content = file.read_bytes()
                if content == known:
                    complaint = ""
                    continue
                known = (
                    None  # until it is served: a failure is retried, and so is a return to the former content
                )
                config = read_file(file, messages.ModelServerConfig)
                if not config.WhichOneof("config"):  # empty, as it is while it is being written
                    raise FailedPreconditionError(
                        "Cannot transition from one type of ModelServerConfig to another"
                    )
                self._lifecycle.reload(model_configs(config))
                known, complaint = content, ""
            except (StatusError, OSError) as error:
                if str(error) != complaint:
                    _log.error("Reloading %s failed and will be retried: %s", file, error)
                complaint = str(error)
            except Exception:
                _log.exception("Reloading %s failed", file)
