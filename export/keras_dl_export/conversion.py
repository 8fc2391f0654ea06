"""One model, one file: written beside, proven in its own runtime, renamed into place."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keras_dl_export.artifact import Artifact, size_of
from keras_dl_export.cases import Examples
from keras_dl_export.endpoints import DEFAULT_ENDPOINT, endpoints_of, pick
from keras_dl_export.errors import ConversionError, ExportError
from keras_dl_export.lowering import TFLiteRecurrent, emit_onnx
from keras_dl_export.onnx import DEFAULT_OPSET, count_onnx_operators, write_onnx
from keras_dl_export.parity import check_parity
from keras_dl_export.quantization import check_quantization, stack
from keras_dl_export.release import is_release
from keras_dl_export.runtime import open_runners
from keras_dl_export.saved_model import count_saved_model_operators, write_saved_model
from keras_dl_export.signatures import Signature, sign
from keras_dl_export.staging import staging_folder
from keras_dl_export.tflite import count_tflite_operators, fuse_lstms, write_tflite


def to_saved_model(
    model: Any, folder: str | os.PathLike[str], *, inputs: Examples = None, random: str = "refuse"
) -> Artifact:
    """Write a SavedModel with every endpoint as a named signature.

    Args:
        model: a built Keras 3 model.
        folder: where to; a SavedModel that is there already is replaced.
        inputs: real examples to compare on, as for `export`.
        random: what becomes of random numbers from a hidden generator, as for `export`.

    Returns:
        The artifact, proven equal to the model.

    Raises:
        ValueError: the model is not built, `folder` holds something else, or `inputs` do not fit.
        ConversionError: the model cannot be expressed.
        ParityError: the SavedModel does not give the model's numbers.
        ReleaseError: the folder above cannot be written to.
    """
    target = Path(folder)
    replaceable = (target / "saved_model.pb").is_file() and not is_release(target)
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not replaceable):
        raise ValueError(f"folder: expected a new folder or a SavedModel to replace, got {target}.")
    signatures = sign(model, inputs, random=random)

    def write(path: Path) -> None:
        write_saved_model(model, signatures, path)

    return _write_into_place(target, write, "saved_model", signatures)


def to_tflite(
    model: Any,
    path: str | os.PathLike[str],
    *,
    endpoint: str = DEFAULT_ENDPOINT,
    quantize: str | None = None,
    representative_data: Any = None,
    inputs: Examples = None,
    lstm: str = "exact",
    random: str = "refuse",
) -> Artifact:
    """Write a TFLite file with one endpoint as its signature, of builtin operators alone.

    Args:
        model: a built Keras 3 model.
        path: the file; one that is there already is replaced.
        endpoint: which of the model's endpoints.
        quantize: "float16" halves the weights, "dynamic" keeps them in 8 bits, "int8" computes in 8 bits. The
            inputs and outputs keep their dtypes, and the tolerance is that of `parity.QUANTIZED_TOLERANCES`.
        representative_data: real inputs for "int8", up to 256 examples: an array, a dict of arrays, or a
            tf.data pipeline of batches (of pairs, the first is taken).
        inputs: real examples to compare on, as for `export`; by default the representative ones.
        lstm: "fused" makes each LSTM one operator: the smallest file, and where the runtime lacks XNNPACK the
            fastest. It keeps its state between two calls: whoever runs the file resets the interpreter's
            variables before each, as `load_artifact` does. The batch is 1 then, unless the model's own is
            fixed. "exact" keeps no state.
        random: what becomes of random numbers from a hidden generator, as for `export`.

    Returns:
        The artifact, proven equal to the model.

    Raises:
        ValueError: an unbuilt model, an unknown endpoint or quantisation, or data that do not fit.
        ConversionError: TFLite cannot express the endpoint.
        ParityError: the file does not give the model's numbers.
        ReleaseError: the folder of `path` cannot be written to.
    """
    target = _file_target(path)
    rows = check_quantization(
        "tflite", quantize, representative_data, pick(endpoints_of(model, inputs), endpoint).inputs
    )
    if lstm not in ("exact", "fused"):
        raise ValueError(f"lstm: expected 'exact' or 'fused', got {lstm!r}.")
    calibrated = quantize == "int8"
    signatures = sign(
        model,
        stack(rows) if inputs is None else inputs,
        [endpoint],
        TFLiteRecurrent(calibrated=calibrated),
        random,
    )
    if lstm == "fused":
        signatures = fuse_lstms(signatures, calibrated)

    def write(file: Path) -> None:
        write_tflite(model, signatures, file, quantize, rows)

    return _write_into_place(target, write, "tflite", signatures, quantize)


def to_onnx(
    model: Any,
    path: str | os.PathLike[str],
    *,
    endpoint: str = DEFAULT_ENDPOINT,
    opset: int = DEFAULT_OPSET,
    quantize: str | None = None,
    representative_data: Any = None,
    inputs: Examples = None,
    random: str = "refuse",
) -> Artifact:
    """Write an ONNX file with one endpoint.

    Args:
        model: a built Keras 3 model.
        path: the file; one that is there already is replaced.
        endpoint: which of the model's endpoints.
        opset: the version of the ONNX operators, 13 to 18.
        quantize: "float16" halves the weights and activations, "int8" quantises both statically (QDQ, weights
            per channel). The inputs and outputs keep their dtypes, and the tolerance is that of
            `parity.QUANTIZED_TOLERANCES`.
        representative_data: real inputs for "int8", as for `to_tflite`.
        inputs: real examples to compare on, as for `export`; by default the representative ones.
        random: what becomes of random numbers from a hidden generator, as for `export`.

    Returns:
        The artifact, proven equal to the model.

    Raises:
        ValueError: an unbuilt model, an unknown endpoint, opset or quantisation, or data that do not fit.
        ConversionError: ONNX cannot express the endpoint.
        ParityError: the file does not give the model's numbers.
        ReleaseError: the folder of `path` cannot be written to.
    """
    target = _file_target(path)
    rows = check_quantization(
        "onnx", quantize, representative_data, pick(endpoints_of(model, inputs), endpoint).inputs
    )
    signatures = sign(model, stack(rows) if inputs is None else inputs, [endpoint], emit_onnx, random)

    def write(file: Path) -> None:
        write_onnx(signatures[endpoint], file, opset, quantize, rows)

    return _write_into_place(target, write, "onnx", signatures, quantize)


def prove(
    path: Path, format: str, signatures: Mapping[str, Signature], label: str, quantize: str | None = None
) -> Artifact:
    """Run a written file against its model and describe it; `label` is what an error calls it.

    Raises:
        ParityError: the file does not give the model's numbers.
        ConversionError: its own runtime refuses it.
    """
    try:
        runners = open_runners(path, format)
    except ExportError as error:
        reason = str(error).replace(str(path), label)
        raise ConversionError(f"{reason} Leave {format!r} out, or build the layer from others.") from error
    parity = check_parity(runners, signatures, label, quantize)
    operators = {
        "saved_model": lambda: count_saved_model_operators(signatures),
        "tflite": lambda: count_tflite_operators(path),
        "onnx": lambda: count_onnx_operators(path),
    }[format]()
    notes = tuple(dict.fromkeys(note for signature in signatures.values() for note in signature.notes))
    return Artifact(path, format, tuple(signatures), size_of(path), operators, parity, quantize, notes)


def _write_into_place(
    target: Path,
    write: Callable[[Path], None],
    format: str,
    signatures: Mapping[str, Signature],
    quantize: str | None = None,
) -> Artifact:
    with staging_folder(target.parent) as staged:
        written = staged / target.name
        write(written)
        artifact = prove(written, format, signatures, target.name, quantize)
        if target.is_dir():
            target.rename(staged / "replaced")
        written.replace(target)
    return dataclasses.replace(artifact, path=target)


def _file_target(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"path: expected the name of a file, got the folder {target}.")
    return target
