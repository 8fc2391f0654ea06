"""Records of what was written and measured, and their form in `release.json`. Plain Python."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REAL, UNIFORM = "real", "uniform"  # kinds of samples: given by the user, or drawn from (-1, 1)


@dataclass(frozen=True)
class Comparison:
    """One output of one endpoint, compared on one sample.

    Attributes:
        endpoint: the endpoint's name.
        output: the output's name.
        sizes: the size of every dynamic axis, by its name.
        max_abs_error: the largest absolute difference; 0 for integers, which agree or tie.
        tolerance: the largest absolute difference that was allowed in any of its examples.
        inputs: the kinds of samples that went in: "real", "uniform", "large, zeros" and the like.
        file: the file's path in its release, or its name.
    """

    endpoint: str
    output: str
    sizes: Mapping[str, int]
    max_abs_error: float
    tolerance: float
    inputs: str = UNIFORM
    file: str = ""

    @property
    def batch_size(self) -> int | None:
        """The size of the batch axis; None for an endpoint without one."""
        return self.sizes.get("batch")


@dataclass(frozen=True)
class Parity:
    """All comparisons that a file passed.

    Attributes:
        comparisons: the comparisons.
        notes: how the inputs and outputs of a file from another exporter were matched.
    """

    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the samples, such as "uniform", "large" and "odd sizes"."""
        return tuple(
            dict.fromkeys(kind for comparison in self.comparisons for kind in comparison.inputs.split(", "))
        )

    @property
    def max_abs_error(self) -> float:
        """The largest absolute difference on real inputs and on inputs from (-1, 1).

        On other inputs, such as values of +-100, it grows with the outputs; see `comparisons`.
        """
        plain = [each for each in self.comparisons if {REAL, UNIFORM} & set(each.inputs.split(", "))]
        return max((comparison.max_abs_error for comparison in plain or self.comparisons), default=0.0)


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of an output before and after the export.

    Attributes:
        endpoint: the endpoint that was called.
        output: the measured output: integers in the labels' shape, otherwise the argmax over the last axis of
            the first floating output with one axis more than the labels.
        before: the accuracy of the model, in [0, 1].
        after: the accuracy of the file.
        examples: the number of labels.
    """

    endpoint: str
    output: str
    before: float
    after: float
    examples: int

    @property
    def drop(self) -> float:
        """The loss of accuracy; negative if the file is more accurate."""
        return self.before - self.after


@dataclass(frozen=True)
class Flops:
    """The cost of one call of an endpoint, independent of the runtime.

    Attributes:
        total: floating-point operations; a multiply-add is 2.
        sizes: the size of every dynamic axis of that call.
        operators: TensorFlow operator -> its share of the total, the largest first.
        uncounted: operators that compute, but whose cost is unknown here.
    """

    total: int
    sizes: Mapping[str, int]
    operators: Mapping[str, int]
    uncounted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Latency:
    """The latency of one call in milliseconds: median and 95th percentile."""

    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Timing:
    """The latency of one endpoint of one file.

    Attributes:
        path: the file, relative to the release; "." for the SavedModel.
        format: its format.
        endpoint: the endpoint.
        threads: the number of threads of an operator.
        p50_ms: the median of the calls, in milliseconds.
        p95_ms: the 95th percentile of the calls, in milliseconds.
    """

    path: str
    format: str
    endpoint: str
    threads: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Artifact:
    """One model file in one format, checked against its model.

    Attributes:
        path: the file, or the folder of a SavedModel.
        format: the format's name, such as ``"saved_model"``, ``"tflite"`` or ``"onnx"``.
        endpoints: its endpoints.
        bytes: its size on disk.
        operators: operator -> its number in the graphs.
        parity: the comparisons it passed.
        quantize: how its weights were quantized, or None.
        notes: a sentence for each layer that the format expresses in a slower form, or not fully.
        accuracy: its accuracy on labeled data, compared with its model; None without such data.
        versions: the operator sets and file schemas that a reader of the file must support.
    """

    path: Path
    format: str
    endpoints: tuple[str, ...]
    bytes: int
    operators: Mapping[str, int]
    parity: Parity
    quantize: str | None = None
    notes: tuple[str, ...] = ()
    accuracy: Accuracy | None = None
    versions: Mapping[str, int | str] = field(default_factory=dict)

    @property
    def max_abs_error(self) -> float:
        """The largest absolute difference from the Keras model, over all endpoints, outputs and samples."""
        return self.parity.max_abs_error

    @property
    def label(self) -> str:
        """The file's path in a release, or its own name; a SavedModel, the release itself, is its format."""
        if self.format == "saved_model":
            return self.format
        folder = self.path.parent.name
        return f"{folder}/{self.path.name}" if folder == self.format else self.path.name

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def to_json(self, release: Path) -> dict[str, Any]:
        """Return the artifact's entry in the `release.json` of a folder."""
        return {
            "path": self.path.relative_to(release).as_posix(),
            "format": self.format,
            "endpoints": self.endpoints,
            "bytes": self.bytes,
            "versions": dict(self.versions),
            "operators": self.operators,
            "quantize": self.quantize,
            "notes": self.notes,
            "accuracy": self.accuracy and dataclasses.asdict(self.accuracy),
            "max_abs_error": self.max_abs_error,
            "samples": self.parity.kinds,
            "parity": [dataclasses.asdict(comparison) for comparison in self.parity.comparisons],
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any], release: Path) -> Artifact:
        """Return the artifact that an entry of a release's `release.json` describes."""
        return cls(
            path=release / entry["path"],
            format=entry["format"],
            endpoints=tuple(entry["endpoints"]),
            bytes=entry["bytes"],
            operators=entry["operators"],
            parity=Parity(tuple(Comparison(**comparison) for comparison in entry["parity"])),
            quantize=entry["quantize"],
            notes=tuple(entry.get("notes", ())),
            accuracy=Accuracy(**entry["accuracy"]) if entry.get("accuracy") else None,
            versions=entry.get("versions", {}),
        )
