"""What `release.json` says of a release: its model, endpoints, files and the tools that wrote it."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import math
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_dl_export.artifact import Artifact
from keras_dl_export.cases import smallest_vocabulary
from keras_dl_export.signatures import Signature
from keras_dl_export.specs import Spec

_TOOLS = ("keras-dl", "keras", "tensorflow", "ai-edge-litert", "onnx", "onnxruntime", "tf2onnx", "numpy")


def describe(
    model: Any, signatures: Mapping[str, Signature], artifacts: Iterable[Artifact], staged: Path
) -> dict[str, Any]:
    """Return the content of `release.json` but for the hashes.

    Args:
        model: what was exported.
        signatures: its endpoints.
        artifacts: the files, proven equal to it.
        staged: the folder that they are in.
    """
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
            }
            for name, signature in signatures.items()
        },
        "artifacts": [
            {
                "path": artifact.path.relative_to(staged).as_posix(),
                "format": artifact.format,
                "endpoints": artifact.endpoints,
                "bytes": artifact.bytes,
                "operators": artifact.operators,
                "quantize": artifact.quantize,
                "notes": artifact.notes,
                "accuracy": artifact.accuracy and dataclasses.asdict(artifact.accuracy),
                "max_abs_error": artifact.max_abs_error,
                "parity": [dataclasses.asdict(comparison) for comparison in artifact.parity.comparisons],
            }
            for artifact in artifacts
        ],
        "tools": {
            "python": platform.python_version(),
            **{tool: version for tool in _TOOLS if (version := _version(tool)) is not None},
        },
    }


def _version(tool: str) -> str | None:
    try:
        return importlib.metadata.version(tool)
    except importlib.metadata.PackageNotFoundError:  # a checkout that was not installed
        return None


def _specs(specs: Mapping[str, Spec]) -> dict[str, Any]:
    return {name: dataclasses.asdict(spec) for name, spec in specs.items()}
