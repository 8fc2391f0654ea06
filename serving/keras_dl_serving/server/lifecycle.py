"""What is to be served, looked for again and again: a folder of releases, or a list of models."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_dl_serving.errors import FailedPrecondition, NotFound, StatusError, Unknown
from keras_dl_serving.server import releases
from keras_dl_serving.server.config import ModelConfig, Policy, check_platforms, model_configs, read_file
from keras_dl_serving.server.core import Core, ModelSpec, State
from keras_dl_serving.server.releases import VersionFolder
from keras_dl_serving.wire import messages

_log = logging.getLogger("keras_dl_serving")


class Lifecycle:
    """Keeps a core serving what is asked for.

    Args:
        core: what serves it.
        folder: a folder of releases, all of which are served; or
        models: the models.
        allow_unavailable_labels: whether a new label may name a version that is not there yet.
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
        self._lock = threading.RLock()  # around one look or reload at a time

    def look(self) -> None:
        """Load what is new, unload what is not wanted any more."""
        with self._lock:
            found, policies = self._found()
            if self._core.serve(found, policies):
                # A loaded TensorFlow is millions of objects, which every full collection would walk through;
                # parsing large JSON triggers many. Frozen, they are left alone; thawed first, what has been
                # unloaded is collected.
                gc.unfreeze()
                gc.collect()
                gc.freeze()

    def assign_labels(self) -> None:
        """Give versions the labels that the models' configs name.

        Raises:
            FailedPrecondition: a version is not there.
        """
        self._core.set_labels(
            {model.name: model.labels for model in self._models if model.labels},
            allow_unavailable=self._allow_unavailable_labels,
        )

    def reload(self, models: Sequence[ModelConfig]) -> None:
        """Serve these models and no others from now on; return when they are loaded.

        Raises:
            StatusError: a model changes its platform (nothing has changed then), cannot be found or loaded,
                or a label names a version that is not there.
        """
        with self._lock:
            check_platforms(self._models, models)
            for model in models:
                if not model.base_path.is_dir():
                    raise NotFound(f"Could not find base path {model.base_path} for servable {model.name}")
            self._folder, self._models = None, tuple(models)
            self.look()
            self.assign_labels()
            self._check_available()

    def missing(self) -> list[str]:
        """The models that have no version to answer with; a server without models misses none."""
        names = [model.name for model in self._models] if self._folder is None else self._core.names()
        return [name for name in names if not self._is_available(name)]

    def _found(self) -> tuple[Mapping[str, list[VersionFolder]], Mapping[str, Policy]]:
        if self._folder is not None:
            return releases.scan(self._folder), {}
        found = {}
        for model in self._models:
            found[model.name] = releases.scan_versions(model.base_path, model.platform)
            if not found[model.name] and model.name not in self._core.names():
                _log.warning(
                    "No versions of servable %s found under base path %s", model.name, model.base_path
                )
        return found, {model.name: model.policy for model in self._models}

    def _is_available(self, name: str) -> bool:
        try:
            return any(servable.state is State.AVAILABLE for servable in self._core.states(ModelSpec(name)))
        except NotFound:
            return False

    def _check_available(self) -> None:
        failed = []
        for name in self.missing():
            try:
                for servable in self._core.states(ModelSpec(name)):
                    if servable.error:
                        reason = f"{servable.error.status.name}: {servable.error.message}"
                        failed.append(f"{{{servable} due to error: {reason}}}, ")
            except NotFound as error:
                failed.append(f"{{{error.message}}}, ")
        if failed:
            raise Unknown(f"{len(failed)} servable(s) did not become available: {{{''.join(failed)}}}")


class Poller:
    """Looks for new versions, and for a new list of models in a config file, from threads of its own.

    Args:
        lifecycle: what looks.
        poll_seconds: how often for new versions; None never.
        config_file: the file with the models.
        config_poll_seconds: how often it is read again; None never.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        poll_seconds: float | None,
        config_file: Path | None = None,
        config_poll_seconds: float | None = None,
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
                    args=(config_file, config_poll_seconds),
                    name="keras_dl_config",
                    daemon=True,
                )
            )
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop and wait until nothing looks any more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _look(self, seconds: float) -> None:
        while not self._stopping.wait(seconds):
            try:
                self._lifecycle.look()
            except Exception:
                _log.exception("Looking for new versions failed")

    def _read(self, file: Path, seconds: float) -> None:
        known = file.read_bytes() if file.exists() else b""
        while not self._stopping.wait(seconds):
            try:
                content = file.read_bytes()
                if content == known:
                    continue
                known = content
                config = read_file(file, messages.ModelServerConfig)
                if not config.WhichOneof("config"):  # empty, as it is while it is being written
                    raise FailedPrecondition(
                        "Cannot transition from one type of ModelServerConfig to another"
                    )
                self._lifecycle.reload(model_configs(config))
            except StatusError as error:
                _log.error("Reloading %s failed: %s", file, error.message)
            except Exception:
                _log.exception("Reloading %s failed", file)
