"""Open a written file or a release and return a runner; only a SavedModel imports TensorFlow."""

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
        endpoint: the endpoint; by default `serving_default`, or the only one there is.
        format: which of a release's formats; `saved_model` by default.
        version: which version of a release; the newest by default.
        threads: how many threads may share an operator of an ONNX or TFLite file; by default the runtime
            chooses. A SavedModel takes the process's: `tf.config.threading`, before TensorFlow's first use.

    Returns:
        A runner: called with a dict of arrays it returns a dict of arrays.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: an unknown endpoint or number of threads, or a format that the release does not hold.
        ReleaseError: the release is half-written or altered.
        ExportError: the file's own runtime refuses it.
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
            raise ValueError(f"format: {release.path} holds {held}, got {format!r}.")
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
