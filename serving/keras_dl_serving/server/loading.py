"""From the folder of a version to an engine: checked, loaded and warmed up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from keras_dl_export import ReleaseError
from keras_dl_export.release import is_release, open_release
from keras_dl_serving.errors import DataLossError
from keras_dl_serving.protocol.text_files import read_file
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.batching import BatchingEngine, BatchingOptions, from_proto
from keras_dl_serving.server.engines.engine import AUTOMATIC, Engine, Threads
from keras_dl_serving.server.engines.open_engine import open_engine
from keras_dl_serving.server.releases import VersionFolder
from keras_dl_serving.server.warmup import warm_up

_BATCHING_FILE = "batching_params.pbtxt"


@dataclass(frozen=True)
class Loading:
    """The settings by which versions are loaded and run.

    Attributes:
        prefer_tflite: load `model.tflite` if it exists.
        warm_up: run the requests in `assets.extra/tf_serving_warmup_requests` before a version is served.
        warm_up_iterations: how often each of them is run.
        verify_releases: refuse a release whose files differ from its `release.json`.
        batching: combine concurrent requests into batches; None is off.
        per_model_batching: with `batching`: batch only versions with a `batching_params.pbtxt` of their own,
            by its parameters; the number of threads is that of `batching`.
        check_method_names: classify and regress require a signature of that method name, which TensorFlow 2
            never writes.
        threads: the threads of each run.
    """

    prefer_tflite: bool = False
    warm_up: bool = True
    warm_up_iterations: int = 1
    verify_releases: bool = False
    batching: BatchingOptions | None = None
    per_model_batching: bool = False
    check_method_names: bool = False
    threads: Threads = AUTOMATIC

    def __call__(self, folder: VersionFolder) -> Engine:
        """Load a version.

        Raises:
            StatusError: it cannot be loaded, is altered, or fails on its own warm-up requests.
        """
        if self.verify_releases and is_release(folder.path):
            try:
                open_release(folder.path)
            except ReleaseError as error:
                raise DataLossError(str(error)) from None
        batching = self._batching(folder.path)
        engine = open_engine(
            folder.path, folder.platform, prefer_tflite=self.prefer_tflite, threads=self.threads
        )
        try:
            if self.warm_up:
                checks = self.check_method_names
                warm_up(engine, folder.path, self.warm_up_iterations, check_method_names=checks)
        except BaseException:
            engine.close()
            raise
        return BatchingEngine(engine, batching) if batching else engine

    def _batching(self, folder: Path) -> BatchingOptions | None:
        file = folder / _BATCHING_FILE
        if self.batching is None or not self.per_model_batching:
            return self.batching
        if not file.exists():
            return None
        own = from_proto(read_file(file, messages.BatchingParameters))
        return replace(own, threads=self.batching.threads)
