"""What reports and the terminal show in rows: figures, parity, latency, answers."""

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
    """One row a figure, in the order given."""
    return Table(
        ("figure", "value"), [(name, format_figure(value)) for name, value in figures.items()], caption
    )


def parity_table(artifacts: Iterable[Artifact], caption: str = "") -> Table:
    """One row for each endpoint of each artifact: size, operators and the worst difference from the model."""
    rows = []
    for artifact in artifacts:
        for endpoint in artifact.endpoints:
            comparisons = [each for each in artifact.parity.comparisons if each.endpoint == endpoint]
            # Outputs differ in size, and what they may differ by with them: the nearest to its limit counts.
            worst = max(comparisons, key=_share)
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
    return Table(("format", "endpoint", "KiB", "operators", "max error", "allowed"), rows, caption)


def comparisons_table(parity: Parity, caption: str = "") -> Table:
    """One row for each output and kind of samples: the difference that came nearest to what was allowed."""
    worst: dict[tuple[str, str, str], Comparison] = {}
    for each in parity.comparisons:
        key = (each.endpoint, each.output, each.inputs)
        if key not in worst or _share(each) > _share(worst[key]):
            worst[key] = each
    rows = [(*key, f"{each.max_abs_error:.0e}", f"{each.tolerance:.0e}") for key, each in worst.items()]
    return Table(("endpoint", "output", "samples", "max error", "allowed"), rows, caption)


def _share(comparison: Comparison) -> float:
    return comparison.max_abs_error / comparison.tolerance


def latency_table(latencies: Mapping[str, Latency], caption: str = "") -> Table:
    """One row for each way of asking: median and 95th percentile in milliseconds."""
    rows = [(name, f"{each.p50_ms:.2f}", f"{each.p95_ms:.2f}") for name, each in latencies.items()]
    return Table(("asked through", "p50 ms", "p95 ms"), rows, caption)


def signatures_table(metadata: ModelMetadata, only: str | None = None) -> Table:
    """One row for each input and output of each signature of a served model, or of only one."""
    rows = [
        (name, side, tensor, str(spec))
        for name, signature in metadata.signatures.items()
        if only in (None, name)
        for side, tensors in (("takes", signature.inputs), ("gives", signature.outputs))
        for tensor, spec in tensors.items()
    ]
    return Table(
        ("signature", "", "tensor", "dtype and shape"), rows, f"{metadata.name}, version {metadata.version}"
    )


def answers_table(answers: Mapping[str, NDArray[Any]], truth: NDArray[Any] | None = None) -> Table:
    """One row an example: what each output says of it, beside the truth where it is known."""
    count = max((len(array) for array in answers.values() if array.ndim), default=1)
    rows = [
        (
            str(index),
            *([str(truth[index])] if truth is not None else []),
            *(_format_array(_row(array, index)) for array in answers.values()),
        )
        for index in range(count)
    ]
    return Table(("example", *(["truth"] if truth is not None else []), *answers), rows)


def _row(array: Any, index: int) -> Any:
    if array.ndim == 0:
        return array
    return array[index] if index < len(array) else ""  # outputs need not be as long as each other


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
    """A figure as people read it: shares keep their digits, counts their thousands separators."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    whole = isinstance(value, int) or (value >= 1000 and value.is_integer())
    return f"{value:,.0f}" if whole else f"{value:,.4g}"
