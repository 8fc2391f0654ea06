"""Tables of reports and of the terminal: metrics, parity, latency, predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keras_dl.reports.html import Table

if TYPE_CHECKING:
    from keras_dl_export import Artifact, Comparison, Parity
    from keras_dl_export.results import Latency
    from keras_dl_serving import ModelMetadata

_LONGEST_TEXT = 60
FORMAT_NAMES = {"saved_model": "SavedModel", "tflite": "TFLite", "onnx": "ONNX"}


def figures_table(figures: Mapping[str, object], caption: str = "") -> Table:
    """Return one row per metric, in the given order."""
    return Table(
        ("metric", "value"), [(name, format_figure(value)) for name, value in figures.items()], caption
    )


def parity_table(artifacts: Iterable[Artifact], caption: str = "") -> Table:
    """Return one row per endpoint of each artifact: size, operators and largest difference from the model."""
    rows = []
    for artifact in artifacts:
        for endpoint in artifact.endpoints:
            comparisons = [each for each in artifact.parity.comparisons if each.endpoint == endpoint]
            # Outputs and their tolerances differ in scale, so errors are compared relative to the tolerance.
            worst = max(comparisons, key=_relative_error)
            rows.append(
                (
                    FORMAT_NAMES[artifact.format],
                    endpoint,
                    f"{artifact.bytes / 1024:,.0f}",
                    f"{sum(artifact.operators.values()):,}",
                    f"{worst.max_abs_error:.0e}",
                    f"{worst.tolerance:.0e}",
                )
            )
    return Table(("format", "endpoint", "KiB", "operators", "max error", "tolerance"), rows, caption)


def comparisons_table(parity: Parity, caption: str = "") -> Table:
    """Return one row per output and kind of samples: the largest difference relative to its tolerance."""
    worst: dict[tuple[str, str, str], Comparison] = {}
    for each in parity.comparisons:
        key = (each.endpoint, each.output, each.inputs)
        if key not in worst or _relative_error(each) > _relative_error(worst[key]):
            worst[key] = each
    rows = [(*key, f"{each.max_abs_error:.0e}", f"{each.tolerance:.0e}") for key, each in worst.items()]
    return Table(("endpoint", "output", "samples", "max error", "tolerance"), rows, caption)


def _relative_error(comparison: Comparison) -> float:
    return comparison.max_abs_error / comparison.tolerance


def latency_table(latencies: Mapping[str, Latency], caption: str = "") -> Table:
    """Return one row per way of running the model: median and 95th percentile in milliseconds."""
    rows = [(name, f"{each.p50_ms:.2f}", f"{each.p95_ms:.2f}") for name, each in latencies.items()]
    return Table(("runtime", "p50 ms", "p95 ms"), rows, caption)


def signatures_table(metadata: ModelMetadata, only: str | None = None) -> Table:
    """Return one row per input and output of each signature of a served model, or of only one signature."""
    rows = [
        (name, side, tensor, str(spec))
        for name, signature in metadata.signatures.items()
        if only in (None, name)
        for side, tensors in (("input", signature.inputs), ("output", signature.outputs))
        for tensor, spec in tensors.items()
    ]
    return Table(
        ("signature", "", "tensor", "dtype and shape"), rows, f"{metadata.name}, version {metadata.version}"
    )


def answers_table(answers: Mapping[str, NDArray[Any]], truth: NDArray[Any] | None = None) -> Table:
    """Return one row per example: its outputs, and its label if known."""
    count = max((len(array) for array in answers.values() if array.ndim), default=1)
    rows = [
        (
            str(index),
            *([str(truth[index])] if truth is not None else []),
            *(_format_array(_row(array, index)) for array in answers.values()),
        )
        for index in range(count)
    ]
    return Table(("example", *(["label"] if truth is not None else []), *answers), rows)


def _row(array: Any, index: int) -> Any:
    if array.ndim == 0:
        return array
    return array[index] if index < len(array) else ""  # outputs may differ in length


def _format_array(value: Any) -> str:
    array = np.asarray(value)
    if isinstance(value, str | bytes):
        return _format_text(value)
    if array.ndim > 1:
        size = f"{array.dtype if array.dtype != object else 'string'} {'x'.join(map(str, array.shape))}"
        numbers = array.size and array.dtype.kind in "fiu"
        return f"{size}, {array.min():.3g} to {array.max():.3g}" if numbers else size
    return np.array2string(
        array,
        precision=3,
        suppress_small=True,
        threshold=12,
        max_line_width=60,
        formatter={"object": _format_text},
    )


def _format_text(value: Any) -> str:
    text = repr(value) if value != "" else ""
    if len(text) <= _LONGEST_TEXT:
        return text
    return (
        f"{text[:_LONGEST_TEXT]}... ({len(value):,} {'bytes' if isinstance(value, bytes) else 'characters'})"
    )


def format_figure(value: object) -> str:
    """Return a metric as text: fractions with four digits, counts with thousands separators."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    whole = isinstance(value, int) or (value >= 1000 and value.is_integer())
    return f"{value:,.0f}" if whole else f"{value:,.4g}"
