"""Open a written file or a release as a runner. TensorFlow is imported only for a SavedModel."""

from __future__ import annotations

import os
from collections.abc import Sequence

from keras_dl_export.arguments import as_path
from keras_dl_export.formats.registry import format_of, open_runners
from keras_dl_export.release import holds_release, open_release
from keras_dl_export.runner import Runner
from keras_dl_export.specs import DEFAULT_ENDPOINT


def load_artifact(
    path: str | os.PathLike[str],
    endpoint: str | None = None,
    *,
    format: str | None = None,
    version: int | None = None,
    threads: int | None = None,
) -> Runner:
    """Load one endpoint of a written file, of any of the three formats.

    Args:
        path: an ONNX or TFLite file, a SavedModel folder, a release, or the folder of a release's versions.
        endpoint: the endpoint; by default `serving_default`, or the only one.
        format: the format in a release; by default `saved_model`.
        version: the version of a release; by default the newest.
        threads: the number of threads of an operator of an ONNX or TFLite file; by default the runtime
            chooses. For a SavedModel it is a setting of the process: `tf.config.threading`, before
            TensorFlow's first use.

    Returns:
        A runner: called with a dict of arrays it returns a dict of arrays.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: an unknown endpoint, an invalid number of threads, or a format that is not in the release.
        ReleaseError: the release is incomplete or altered.
        ExportError: the file's own runtime cannot load it.
    """
    path = as_path("path", path, "models/digits.onnx")
    if not path.exists():
        raise FileNotFoundError(
            f"path: expected a model file, a SavedModel or a release, found nothing at {path}."
        )
    if holds_release(path):
        release = open_release(path, version)
        format = format or "saved_model"
        artifacts = [artifact for artifact in release.artifacts if artifact.format == format]
        if not artifacts:
            held = ", ".join(dict.fromkeys(artifact.format for artifact in release.artifacts))
            raise ValueError(f"format: expected one of {held} for {release.path}, got {format!r}.")
        endpoints = [name for artifact in artifacts for name in artifact.endpoints]
        endpoint = _choose(endpoint, endpoints)
        artifact = next(artifact for artifact in artifacts if endpoint in artifact.endpoints)
        runner = open_runners(artifact.path, artifact.format, threads)[endpoint]
        # Only the manifest has the order of inputs and outputs, and the axes of equal size.
        runner.inputs, runner.outputs = release.inputs[endpoint], release.outputs[endpoint]
        return runner
    if format not in (None, format_of(path)):
        raise ValueError(f"format: {path} is {format_of(path)}, got {format!r}.")
    runners = open_runners(path, format_of(path), threads)
    return runners[_choose(endpoint, list(runners))]


def _choose(endpoint: str | None, endpoints: Sequence[str]) -> str:
    if endpoint is None:
        endpoint = endpoints[0] if len(endpoints) == 1 else DEFAULT_ENDPOINT
    if endpoint not in endpoints:
        raise ValueError(f"endpoint: expected one of {', '.join(endpoints)}, got {endpoint!r}.")
    return endpoint
