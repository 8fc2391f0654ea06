"""Quantization of weights and activations, and the calibration data for int8."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.endpoints import Endpoint
from keras_dl_export.format import Format
from keras_dl_export.names import by_word
from keras_dl_export.samples.examples import read_batches
from keras_dl_export.specs import DEFAULT_ENDPOINT, Spec

_CALIBRATION_ROWS = 256

Row = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Quantization:
    """The quantization of a file.

    Attributes:
        kind: one of the format's `quantizations`.
        rows: for int8, the calibration examples of each endpoint, except endpoints whose inputs the data do
            not have. An ONNX file of such an endpoint stays float32. In a TFLite file, which contains all
            endpoints, its activations stay float32, while weights that it shares with a calibrated endpoint
            have 8 bits.
        integer_io: whether floating inputs and outputs of an int8 file become int8, too; TFLite only.
    """

    kind: str
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict, repr=False)
    integer_io: bool = False

    def of(self, *endpoints: str) -> Quantization | None:
        """Return the quantization of a file with only these endpoints, or None if it stays float32."""
        return None if self.kind == "int8" and not set(endpoints) & set(self.rows) else self

    def notes(self, endpoints: Iterable[str]) -> tuple[str, ...]:
        """Return a note for each endpoint that stays float32."""
        return tuple(
            f"{name}: the representative data do not contain its inputs, so its activations stay float32."
            for name in endpoints
            if self.of(name) is None
        )

    @property
    def examples(self) -> dict[str, NDArray[Any]] | None:
        """Some of the rows as a batch for the comparison, or None."""
        merged: dict[str, NDArray[Any]] = {}
        for rows in self.rows.values():
            alike = [row for row in rows if all(row[name].shape == rows[0][name].shape for name in row)][:8]
            for name in rows[0]:
                merged[name] = np.concatenate([row[name] for row in alike])
        return merged or None


def check_quantization(
    formats: Iterable[Format],
    quantize: str | Mapping[str, str] | None,
    representative_data: Any,
    endpoints: Mapping[str, Endpoint],
    integer_io: bool = False,
) -> dict[str, Quantization]:
    """Check the arguments and return the quantization of the files of each format.

    Args:
        formats: the formats to write.
        quantize: one quantization for all formats that support it, one per format by name, or None.
        representative_data: real inputs: an array, a dict of arrays by input name, or an iterable of such
            batches, for example a tf.data pipeline; of a pair (inputs, labels) the inputs are used. A single
            array is the only input of `serving_default`. The data calibrate every endpoint whose inputs they
            contain.
        endpoints: the endpoints of the files.
        integer_io: see `Quantization`.

    Raises:
        ValueError: an unknown quantization or format, or data that are missing, superfluous or invalid.
        TypeError: data of the wrong dtype.
    """
    kinds = _kinds(formats, quantize)
    calibrated = "int8" in kinds.values()
    if calibrated != (representative_data is not None):
        raise ValueError(
            f"representative_data: expected {'real inputs' if calibrated else 'None'} with "
            f"quantize={quantize!r}, got {'None' if representative_data is None else 'data'}. Only int8 is "
            "calibrated on real inputs, and always."
        )
    if integer_io and kinds.get("tflite") != "int8":
        raise ValueError(f"integer_io: expected quantize='int8' with it, got quantize={quantize!r}.")
    rows = _calibration_rows(representative_data, endpoints) if calibrated else {}
    return {
        format: Quantization(kind, rows if kind == "int8" else {}, integer_io)
        for format, kind in kinds.items()
    }


def _kinds(formats: Iterable[Format], quantize: str | Mapping[str, str] | None) -> dict[str, str]:
    """Return the quantization of each format that has one."""
    if quantize is None:
        return {}
    able = {format.name: format.quantizations for format in formats if format.quantizations}
    if isinstance(quantize, Mapping):
        if strange := [format for format in quantize if format not in able]:
            raise ValueError(
                f"quantize: expected quantizations of {', '.join(able) or 'no format'}, got one of "
                f"{strange[0]!r}. A SavedModel is never quantized; name other formats in `formats`."
            )
        wanted = {format: kind for format, kind in quantize.items() if kind is not None}
    else:
        wanted = {format: quantize for format, kinds in able.items() if quantize in kinds}
        wanted = wanted or dict.fromkeys(able, quantize)
    for format, kind in wanted.items():
        if kind not in able[format]:
            known = ", ".join(map(repr, able[format]))
            raise ValueError(f"quantize: expected None or one of {known} for {format}, got {kind!r}.")
    if not able:
        raise ValueError(
            f"quantize: expected None for a SavedModel alone, got {quantize!r}. Add 'tflite' or 'onnx'."
        )
    return wanted


def _calibration_rows(data: Any, endpoints: Mapping[str, Endpoint]) -> dict[str, list[Row]]:
    """Return the first examples for each endpoint whose inputs the data contain."""
    default = endpoints.get(DEFAULT_ENDPOINT) or next(iter(endpoints.values()))
    batches = []
    count = 0
    for batch in _batches(data, default.inputs):
        batches.append(batch)
        count += min((len(array) for array in batch.values() if np.ndim(array)), default=0)
        if count >= _CALIBRATION_ROWS:
            break
    if not count:
        raise ValueError("representative_data: expected at least one example, got none.")
    fed = {
        name: endpoint.inputs
        for name, endpoint in endpoints.items()
        if endpoint.inputs and all(key in batch for batch in batches for key in endpoint.inputs)
    }
    if not fed:
        missing = [key for key in default.inputs if any(key not in batch for batch in batches)]
        raise ValueError(
            f"representative_data: expected {', '.join(default.inputs)}, got no {', '.join(missing)}."
        )
    return {name: list(islice(_rows(batches, inputs), _CALIBRATION_ROWS)) for name, inputs in fed.items()}


def _batches(data: Any, inputs: Mapping[str, Spec]) -> Iterator[Mapping[str, Any]]:
    """Yield batches by input name."""
    for batch in read_batches("representative_data", data):
        if isinstance(batch, Mapping):
            yield by_word(batch, inputs)
        elif len(inputs) == 1:
            yield {next(iter(inputs)): batch}
        else:
            raise ValueError(
                f"representative_data: expected dicts with {', '.join(inputs)}, got single arrays."
            )


def _rows(batches: Iterable[Mapping[str, Any]], inputs: Mapping[str, Spec]) -> Iterator[Row]:
    """Yield the examples one at a time, or in groups of the fixed batch size."""
    fixed = [size for spec in inputs.values() for size in spec.shape[:1] if isinstance(size, int)]
    step = max(fixed, default=1)
    for batch in batches:
        arrays = {
            name: spec.with_free_batch().conform(f"representative_data[{name!r}]", batch[name])
            for name, spec in inputs.items()
        }
        count = min(map(len, arrays.values()))
        for start in range(0, count, step):  # the last fixed batch is padded with the first examples
            taken = np.arange(start, start + step) % count
            yield {name: array[taken] for name, array in arrays.items()}
