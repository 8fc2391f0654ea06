"""From the folder of a version to an engine that is ready: checked, loaded, warmed up."""

from __future__ import annotations

from dataclasses import dataclass

from keras_dl_export import ReleaseError
from keras_dl_export.release import is_release, open_release
from keras_dl_serving.errors import DataLoss
from keras_dl_serving.server.batching import BatchingEngine, BatchingOptions
from keras_dl_serving.server.engines import AUTOMATIC, Engine, Threads, open_engine
from keras_dl_serving.server.releases import VersionFolder
from keras_dl_serving.server.warmup import warm_up


@dataclass(frozen=True)
class Loading:
    """How versions are loaded.

    Attributes:
        prefer_tflite: take `model.tflite` where there is one.
        warm_up: run the requests in `assets.extra/tf_serving_warmup_requests` first.
        warm_up_iterations: each of them so many times.
        verify_releases: refuse a release whose files are not those in its `release.json`.
        batching: run requests together.
        threads: for each run.
    """

    prefer_tflite: bool = False
    warm_up: bool = True
    warm_up_iterations: int = 1
    verify_releases: bool = False
    batching: BatchingOptions | None = None
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
                raise DataLoss(str(error)) from None
        engine = open_engine(
            folder.path, folder.platform, prefer_tflite=self.prefer_tflite, threads=self.threads
        )
        try:
            if self.warm_up:
                warm_up(engine, folder.path, self.warm_up_iterations)
        except BaseException:
            engine.close()
            raise
        return BatchingEngine(engine, self.batching) if self.batching else engine
