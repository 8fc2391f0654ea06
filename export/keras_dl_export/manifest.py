"""The content of `release.json`: model, endpoints, files and tool versions."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import math
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_dl_export.errors import first_line
from keras_dl_export.measure.flops import count_flops
from keras_dl_export.measure.timing import this_machine, time_artifacts
from keras_dl_export.model_endpoints import smallest_vocabulary
from keras_dl_export.results import Artifact
from keras_dl_export.specs import Spec
from keras_dl_export.tracing import Signature

_TOOLS = ("keras-dl", "keras", "tensorflow", "ai-edge-litert", "onnx", "onnxruntime", "tf2onnx", "numpy")
_TIMED_CALLS, _TIMED_SECONDS = 20, 0.3  # per file, endpoint and number of threads, whichever comes first


def describe(
    model: Any, signatures: Mapping[str, Signature], artifacts: Iterable[Artifact], staged: Path
) -> dict[str, Any]:
    """Return the content of `release.json` without the hashes.

    Args:
        model: the exported model.
        signatures: its endpoints.
        artifacts: the checked files.
        staged: the folder of the files.
    """
    artifacts = list(artifacts)
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "model": {
            "class": f"{type(model).__module__}.{type(model).__qualname__}",
            "name": model.name,
            "parameters": sum(math.prod(weight.shape) for weight in model.weights),
        },
        "smallest_vocabulary": smallest_vocabulary(model),
        "endpoints": {
            name: {
                "inputs": _specs(signature.inputs),
                "outputs": _specs(signature.outputs),
                "precision": signature.precision,
                "sizes": dict(signature.samples[0].sizes),
                **_flops(signature),
            }
            for name, signature in signatures.items()
        },
        "artifacts": [artifact.to_json(staged) for artifact in artifacts],
        "latency": _latency(signatures, artifacts, staged),
        "tools": {
            "python": platform.python_version(),
            **{tool: version for tool in _TOOLS if (version := _version(tool)) is not None},
        },
    }


def _flops(signature: Signature) -> dict[str, Any]:
    try:
        return {"flops": dataclasses.asdict(count_flops(signature))}
    except Exception as error:  # an operator that runs only in graphs must not prevent a release
        return {"flops": None, "flops_missing": first_line(error)}


def _latency(
    signatures: Mapping[str, Signature], artifacts: Iterable[Artifact], staged: Path
) -> dict[str, Any]:
    inputs = {name: signature.samples[0].inputs for name, signature in signatures.items()}
    timings = time_artifacts(artifacts, inputs, staged, calls=_TIMED_CALLS, seconds=_TIMED_SECONDS)
    return {"machine": this_machine(), "timings": [dataclasses.asdict(timing) for timing in timings]}


def _version(tool: str) -> str | None:
    try:
        return importlib.metadata.version(tool)
    except importlib.metadata.PackageNotFoundError:  # a checkout that was not installed
        return None


def _specs(specs: Mapping[str, Spec]) -> dict[str, Any]:
    return {name: dataclasses.asdict(spec) for name, spec in specs.items()}
