"""The latency of the files of a release, each in its own runtime, on one thread and on all cores."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from keras_dl_export.child import ChildError, call_in_child
from keras_dl_export.errors import ExportError
from keras_dl_export.formats.registry import open_runners
from keras_dl_export.measure.latency import Inputs, measure_latency
from keras_dl_export.release import Release
from keras_dl_export.results import Artifact, Latency, Timing
from keras_dl_export.samples.drawing import draw_inputs


class _Effort(NamedTuple):
    calls: int
    seconds: float


def time_artifacts(
    artifacts: Iterable[Artifact],
    inputs: Mapping[str, Inputs],
    folder: Path,
    *,
    calls: int = 50,
    seconds: float = 1.0,
    every_thread_count: bool = False,
) -> list[Timing]:
    """Time every endpoint of a release's files, with one thread and with one thread per core.

    Args:
        artifacts: the files.
        inputs: the endpoints' inputs.
        folder: the folder of the release.
        calls: the number of timed calls per file, endpoint and number of threads.
        seconds: the time limit of these calls.
        every_thread_count: whether to time a SavedModel on one thread, too. This starts a process and imports
            TensorFlow there, which takes seconds, because the number of threads is a setting of the process.
    """
    effort = _Effort(calls, seconds)
    timings: list[Timing] = []
    for artifact in artifacts:
        for threads in sorted({1, count_cores()}):
            if artifact.format != "saved_model" or threads == _tensorflow_threads():
                timings += _time(artifact, inputs, folder, threads, effort)
            elif every_thread_count:
                try:
                    timings += call_in_child(
                        _time_with_tensorflow_threads, artifact, inputs, folder, threads, effort
                    )
                except ChildError as error:
                    raise ExportError(
                        f"{artifact.path}: the process that timed it on {threads} thread(s) {error}. Time it "
                        "with measure_latency in a separate process."
                    ) from error
    return timings


def time_release(release: Release, *, calls: int = 50, seconds: float = 1.0) -> list[Timing]:
    """Time every file of a release on this machine, at the sizes recorded in the release.

    Args:
        release: the release.
        calls: the number of timed calls per file, endpoint and number of threads.
        seconds: the time limit of these calls.

    Raises:
        ExportError: a file's own runtime cannot load it.
    """
    inputs = {
        name: draw_inputs(
            specs,
            vocabulary=release.smallest_vocabulary,
            sizes=release.manifest["endpoints"][name].get("sizes"),
        )
        for name, specs in release.inputs.items()
    }
    return time_artifacts(
        release.artifacts, inputs, release.path, calls=calls, seconds=seconds, every_thread_count=True
    )


def count_cores() -> int:
    """Return the number of cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def this_machine() -> str:
    """Return the name of the processor, the number of cores and the system."""
    cores = count_cores()
    return f"{_processor()}, {cores} {'cores' if cores > 1 else 'core'}, {platform.system()}"


def _time(
    artifact: Artifact, inputs: Mapping[str, Inputs], folder: Path, threads: int, effort: _Effort
) -> list[Timing]:
    """Time a file's endpoints; a SavedModel uses the threads of TensorFlow in this process."""
    given = None if artifact.format == "saved_model" else threads
    runners = open_runners(artifact.path, artifact.format, given)
    path = artifact.path.relative_to(folder).as_posix()

    def latency(endpoint: str) -> Latency:
        return measure_latency(
            runners[endpoint], inputs[endpoint], calls=effort.calls, seconds=effort.seconds
        )

    return [
        Timing(path, artifact.format, endpoint, threads, **asdict(latency(endpoint)))
        for endpoint in artifact.endpoints
    ]


def _time_with_tensorflow_threads(
    artifact: Artifact, inputs: Mapping[str, Inputs], folder: Path, threads: int, effort: _Effort
) -> list[Timing]:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return _time(artifact, inputs, folder, threads, effort)


def _tensorflow_threads() -> int:
    return tf.config.threading.get_intra_op_parallelism_threads() or count_cores()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
