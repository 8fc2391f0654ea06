"""Latency of the files of a release, each in its own runtime, on one thread and on all cores."""

from __future__ import annotations

import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from keras_dl_export.artifact import Artifact
from keras_dl_export.cases import draw_inputs
from keras_dl_export.errors import ExportError
from keras_dl_export.latency import Inputs, Timing, measure_latency
from keras_dl_export.release import Release
from keras_dl_export.runtime import open_runners


def time_artifacts(
    artifacts: Iterable[Artifact],
    inputs: Mapping[str, Inputs],
    folder: Path,
    *,
    calls: int = 50,
    seconds: float = 1.0,
    every_thread_count: bool = False,
) -> list[Timing]:
    """Time every endpoint of a release's files, with one thread and with as many as there are cores.

    Args:
        artifacts: the files.
        inputs: the endpoints' inputs.
        folder: the release's.
        calls: how many calls are timed of each file, endpoint and number of threads.
        seconds: when to stop though calls are left.
        every_thread_count: whether to start a process for a SavedModel on one thread, too: TensorFlow's
            threads are the process's, and importing it takes seconds.
    """
    artifacts = list(artifacts)
    timings = []
    for artifact in artifacts:
        for threads in sorted({1, count_cores()}):
            if artifact.format != "saved_model":
                timings += _time(artifact, inputs, folder, threads, threads, calls, seconds)
            elif threads == _tensorflow_threads():
                timings += _time(artifact, inputs, folder, threads, None, calls, seconds)
            elif every_thread_count:
                timings += _time_in_child(artifact, inputs, folder, threads, calls, seconds)
    return timings


def time_release(release: Release, *, calls: int = 50, seconds: float = 1.0) -> list[Timing]:
    """Time every file of a release here and now, at the sizes at which it was timed when it was written.

    Args:
        release: the release.
        calls: how many calls are timed of each file, endpoint and number of threads.
        seconds: when to stop though calls are left.

    Raises:
        ExportError: a file's own runtime refuses it.
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
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def this_machine() -> str:
    """Name the processor, its cores and the system."""
    cores = count_cores()
    return f"{_processor()}, {cores} {'cores' if cores > 1 else 'core'}, {platform.system()}"


def _time(
    artifact: Artifact,
    inputs: Mapping[str, Inputs],
    folder: Path,
    threads: int,
    given: int | None,
    calls: int,
    seconds: float,
) -> list[Timing]:
    runners = open_runners(artifact.path, artifact.format, given)
    path = artifact.path.relative_to(folder).as_posix()
    return [
        Timing(
            path,
            artifact.format,
            endpoint,
            threads,
            **asdict(measure_latency(runners[endpoint], inputs[endpoint], calls=calls, seconds=seconds)),
        )
        for endpoint in artifact.endpoints
    ]


def _time_in_child(
    artifact: Artifact,
    inputs: Mapping[str, Inputs],
    folder: Path,
    threads: int,
    calls: int,
    seconds: float,
) -> list[Timing]:
    with tempfile.TemporaryDirectory(prefix="keras-dl-") as scratch:
        task = Path(scratch, "task")
        task.write_bytes(pickle.dumps((artifact, inputs, folder, threads, None, calls, seconds)))
        done = subprocess.run(
            [sys.executable, "-c", f"from {__name__} import _child; _child({str(task)!r})"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ExportError(f"{artifact.path}: timing it on {threads} thread failed: {said}")
    return [Timing(**timing) for timing in json.loads(done.stdout.splitlines()[-1])]


def _child(task: str) -> None:
    import tensorflow as tf

    arguments = pickle.loads(Path(task).read_bytes())
    tf.config.threading.set_intra_op_parallelism_threads(arguments[3])
    tf.config.threading.set_inter_op_parallelism_threads(arguments[3])
    timings = _time(*arguments)
    sys.stdout.write("\n" + json.dumps([asdict(timing) for timing in timings]) + "\n")


def _tensorflow_threads() -> int:
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads() or count_cores()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
