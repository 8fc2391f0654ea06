"""Smaller numbers for weights and activations, and the data that says how small they may be."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.specs import Spec

QUANTIZATIONS = {"tflite": ("float16", "dynamic", "int8"), "onnx": ("float16", "int8")}

_CALIBRATION_ROWS = 256

Row = Mapping[str, NDArray[Any]]


def check_quantization(
    format: str, quantize: str | None, representative_data: Any, inputs: Mapping[str, Spec]
) -> list[Row]:
    """Check the arguments and return the rows to calibrate on; none but for int8.

    Args:
        format: ``"tflite"`` or ``"onnx"``.
        quantize: one of the format's quantisations, or None.
        representative_data: real inputs: an array, a dict of arrays by input name, or an iterable of such
            batches, for example a tf.data pipeline; of a pair (inputs, labels) the inputs are taken.
        inputs: the endpoint's.

    Raises:
        ValueError: an unknown quantisation, or data that are missing, superfluous or do not fit.
        TypeError: data of the wrong dtype.
    """
    if quantize is not None and quantize not in QUANTIZATIONS[format]:
        known = ", ".join(map(repr, QUANTIZATIONS[format]))
        raise ValueError(f"quantize: expected None or one of {known} for {format}, got {quantize!r}.")
    if (quantize == "int8") != (representative_data is not None):
        raise ValueError(
            "representative_data: int8, and only int8, is calibrated on real inputs, "
            f"got {'none' if representative_data is None else 'some'} for quantize={quantize!r}."
        )
    if representative_data is None:
        return []
    rows = list(islice(_rows(representative_data, inputs), _CALIBRATION_ROWS))
    if not rows:
        raise ValueError("representative_data: expected at least one example, got none.")
    return rows


def stack(rows: Sequence[Row]) -> dict[str, NDArray[Any]] | None:
    """Join a few of the rows to a batch to compare on; None where there are none."""
    return {name: np.concatenate([row[name] for row in rows[:8]]) for name in rows[0]} if rows else None


def quantize_tflite(converter: Any, quantize: str, rows: Iterable[Row], signature: str) -> None:
    """Tell a TFLite converter to quantise; inputs and outputs stay what they are."""
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ((signature, dict(row)) for row in rows)


def quantize_onnx(model: Any, quantize: str, rows: Iterable[Row]) -> Any:
    """Return an ONNX model with quantised weights; inputs and outputs stay what they are."""
    if quantize == "float16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        return convert_float_to_float16(model, keep_io_types=True)

    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._rows = iter(rows)

        def get_next(self) -> Any:
            return next(self._rows, None)

    with tempfile.TemporaryDirectory(prefix="keras-dl-") as folder:
        given, inferred, quantized = (
            Path(folder, f"{name}.onnx") for name in ("given", "inferred", "quantized")
        )
        onnx.save(model, given)
        quant_pre_process(given, inferred, skip_symbolic_shape=True)  # the symbolic kind needs sympy
        quantize_static(
            inferred,
            quantized,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(quantized)


def _rows(data: Any, inputs: Mapping[str, Spec]) -> Iterator[Row]:
    """Yield the examples one at a time, or as many as a fixed batch takes."""
    batches = [data] if isinstance(data, Mapping) or hasattr(data, "shape") else data
    for batch in batches:
        if isinstance(batch, tuple):
            batch = batch[0]
        if not isinstance(batch, Mapping):
            if len(inputs) != 1:
                raise ValueError(
                    f"representative_data: expected dicts with {', '.join(inputs)}, got arrays alone."
                )
            batch = {next(iter(inputs)): batch}
        if missing := [name for name in inputs if name not in batch]:
            raise ValueError(
                f"representative_data: expected {', '.join(inputs)}, got no {', '.join(missing)}."
            )
        arrays = {
            name: spec.with_free_batch().conform(f"representative_data[{name!r}]", batch[name])
            for name, spec in inputs.items()
        }
        fixed = [size for spec in inputs.values() for size in spec.shape[:1] if isinstance(size, int)]
        step = max(fixed, default=1)
        for start in range(0, min(map(len, arrays.values())) - step + 1, step):
            yield {name: array[start : start + step] for name, array in arrays.items()}
