"""One model, one file: written beside, proven in its own runtime, renamed into place."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_dl_export.accuracy import AccuracyTest, accuracy_test
from keras_dl_export.arguments import as_path
from keras_dl_export.cases import Examples
from keras_dl_export.divergence import Divergence, Writer
from keras_dl_export.endpoints import endpoints_of, pick, with_batch_size
from keras_dl_export.errors import ConversionError, ExportError
from keras_dl_export.examples import take_examples
from keras_dl_export.files import move_into_place, staging_folder
from keras_dl_export.formats.registry import open_runners
from keras_dl_export.lowering import TFLiteRecurrent, emit_onnx
from keras_dl_export.onnx import DEFAULT_OPSET, check_opset, count_onnx_operators, write_onnx
from keras_dl_export.parity import check_parity, check_tolerance
from keras_dl_export.quantization import Quantization, check_quantization
from keras_dl_export.release import is_release
from keras_dl_export.results import Artifact
from keras_dl_export.saved_model import count_saved_model_operators, write_saved_model
from keras_dl_export.signatures import Signature, sign
from keras_dl_export.specs import DEFAULT_ENDPOINT
from keras_dl_export.tflite import count_tflite_operators, fuse_lstms, write_tflite
from keras_dl_export.weights import refuse_non_finite_weights


def to_saved_model(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    inputs: Examples = None,
    random: str = "refuse",
    tolerance: float | None = None,
) -> Artifact:
    """Write a SavedModel with every endpoint as a named signature.

    Args:
        model: a built Keras 3 model.
        folder: where to; a SavedModel that is there already is replaced.
        inputs: real examples to compare on, as for `export`.
        random: what becomes of random numbers from a hidden generator, as for `export`.
        tolerance: widens the tolerance of floating outputs, as for `export`.

    Returns:
        The artifact, proven equal to the model.

    Raises:
        ValueError: the model is not built, `folder` holds something else, or `inputs` do not fit.
        ConversionError: the model cannot be expressed.
        ParityError: the SavedModel does not give the model's numbers.
        ReleaseError: the folder above cannot be written to.
    """
    target = as_path("folder", folder, "models/digits")
    inputs = take_examples("inputs", inputs)
    replaceable = (target / "saved_model.pb").is_file() and not is_release(target)
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not replaceable):
        raise ValueError(f"folder: expected a new folder or a SavedModel to replace, got {target}.")
    check_tolerance(tolerance)
    signatures = sign(model, inputs, random=random)

    def write(signatures: Mapping[str, Signature], path: Path) -> None:
        write_saved_model(model, signatures, path)

    return _write_into_place(target, write, "saved_model", signatures, tolerance=tolerance)


def to_tflite(
    model: Any,
    path: str | os.PathLike[str],
    *,
    endpoint: str = DEFAULT_ENDPOINT,
    quantize: str | None = None,
    representative_data: Any = None,
    integer_io: bool = False,
    accuracy_data: Any = None,
    max_accuracy_drop: float | None = None,
    inputs: Examples = None,
    batch_size: int | None = None,
    lstm: str = "exact",
    random: str = "refuse",
    tolerance: float | None = None,
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
        integer_io: whether floating inputs and outputs of an "int8" file are int8, for hardware without
            floats; `Runner.input_scales` and `output_scales` say what the integers mean.
        accuracy_data: labelled data to compare the accuracy on, before and after, as for `export`.
        max_accuracy_drop: the largest drop of accuracy that is accepted, as a fraction.
        inputs: real examples to compare on, as for `export`; by default the representative ones.
        batch_size: fixes the batch axis; None leaves it free.
        lstm: "fused" makes each LSTM one operator: the smallest file, and where the runtime lacks XNNPACK the
            fastest. It keeps its state between two calls: whoever runs the file resets the interpreter's
            variables before each, as `load_artifact` does. The batch is 1 then, unless the model's own is
            fixed. "exact" keeps no state.
        random: what becomes of random numbers from a hidden generator, as for `export`.
        tolerance: widens the tolerance of floating outputs, as for `export`.

    Returns:
        The artifact, proven equal to the model.

    Raises:
        ValueError: an unbuilt model, an unknown endpoint or quantisation, or data that do not fit.
        ConversionError: TFLite cannot express the endpoint.
        ParityError: the file does not give the model's numbers.
        AccuracyError: it loses more accuracy than `max_accuracy_drop`.
        ReleaseError: the folder of `path` cannot be written to.
    """
    target = _file_target(path)
    inputs = take_examples("inputs", inputs)
    if lstm not in ("exact", "fused"):
        raise ValueError(f"lstm: expected 'exact' or 'fused', got {lstm!r}.")
    check_tolerance(tolerance)
    offered = {endpoint: pick(endpoints_of(model, inputs), endpoint)}
    refuse_non_finite_weights(model)
    quantization = check_quantization(
        ["tflite"], quantize, representative_data, with_batch_size(offered, batch_size), integer_io
    ).get("tflite")
    test = accuracy_test(offered, accuracy_data, max_accuracy_drop, random)
    calibrated = quantize == "int8"
    signatures = sign(
        model,
        examples_or(inputs, quantization),
        [endpoint],
        TFLiteRecurrent(calibrated=calibrated),
        random,
        batch_size,
    )
    if lstm == "fused":
        signatures = fuse_lstms(signatures, calibrated)

    def write(signatures: Mapping[str, Signature], file: Path) -> None:
        write_tflite(model, signatures, file, quantization)

    return _write_into_place(target, write, "tflite", signatures, quantization, test, tolerance)


def to_onnx(
    model: Any,
    path: str | os.PathLike[str],
    *,
    endpoint: str = DEFAULT_ENDPOINT,
    opset: int = DEFAULT_OPSET,
    quantize: str | None = None,
    representative_data: Any = None,
    accuracy_data: Any = None,
    max_accuracy_drop: float | None = None,
    inputs: Examples = None,
    batch_size: int | None = None,
    random: str = "refuse",
    tolerance: float | None = None,
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
        accuracy_data: labelled data to compare the accuracy on, before and after, as for `export`.
        max_accuracy_drop: the largest drop of accuracy that is accepted, as a fraction.
        inputs: real examples to compare on, as for `export`; by default the representative ones.
        batch_size: fixes the batch axis; None leaves it free.
        random: what becomes of random numbers from a hidden generator, as for `export`.
        tolerance: widens the tolerance of floating outputs, as for `export`.

    Returns:
        The artifact, proven equal to the model.

    Raises:
        ValueError: an unbuilt model, an unknown endpoint, opset or quantisation, or data that do not fit.
        ConversionError: ONNX cannot express the endpoint.
        ParityError: the file does not give the model's numbers.
        AccuracyError: it loses more accuracy than `max_accuracy_drop`.
        ReleaseError: the folder of `path` cannot be written to.
    """
    target = _file_target(path)
    inputs = take_examples("inputs", inputs)
    check_opset(opset)
    check_tolerance(tolerance)
    offered = {endpoint: pick(endpoints_of(model, inputs), endpoint)}
    refuse_non_finite_weights(model)
    quantization = check_quantization(
        ["onnx"], quantize, representative_data, with_batch_size(offered, batch_size)
    ).get("onnx")
    test = accuracy_test(offered, accuracy_data, max_accuracy_drop, random)
    signatures = sign(model, examples_or(inputs, quantization), [endpoint], emit_onnx, random, batch_size)

    def write(signatures: Mapping[str, Signature], file: Path) -> None:
        write_onnx(signatures[endpoint], file, opset, quantization)

    return _write_into_place(target, write, "onnx", signatures, quantization, test, tolerance)


def examples_or(inputs: Examples, *quantizations: Quantization | None) -> Examples:
    """Return the examples to compare on: those given, or else some of the representative ones."""
    if inputs is not None:
        return inputs
    return next((found for each in quantizations if each and (found := each.examples)), None)


def prove(
    path: Path,
    format: str,
    signatures: Mapping[str, Signature],
    label: str,
    quantization: Quantization | None = None,
    test: AccuracyTest | None = None,
    tolerance: float | None = None,
    write: Writer | None = None,
) -> Artifact:
    """Run a written file against its model and describe it; `label` is what an error calls it.

    Args:
        path: the file.
        format: its format.
        signatures: what it must give.
        label: what an error calls it.
        quantization: how it was quantised.
        test: what its accuracy is measured by.
        tolerance: widens the tolerance of floating outputs.
        write: writes a file like it, with which a failure is traced to a layer.

    Raises:
        ParityError: the file does not give the model's numbers.
        AccuracyError: it loses too much accuracy.
        ConversionError: its own runtime refuses it.
    """
    try:
        runners = open_runners(path, format)
    except ExportError as error:
        reason = str(error).replace(str(path), label)
        raise ConversionError(f"{reason} Leave {format!r} out, or build the layer from others.") from error
    quantize = quantization.kind if quantization else None
    blame = write and Divergence(signatures, format, write, quantize, tolerance)
    parity = check_parity(runners, signatures, label, quantize, tolerance=tolerance, blame=blame)
    accuracy = None
    if test is not None and test.endpoint in signatures:
        accuracy = test.judge(runners[test.endpoint], label)
    operators = {
        "saved_model": lambda: count_saved_model_operators(signatures),
        "tflite": lambda: count_tflite_operators(path),
        "onnx": lambda: count_onnx_operators(path),
    }[format]()
    noted = ((*signature.notes, *signature.reference_notes) for signature in signatures.values())
    notes = dict.fromkeys(note for notes in noted for note in notes)
    notes.update(dict.fromkeys(quantization.notes(signatures) if quantization else ()))
    return Artifact(
        path, format, tuple(signatures), _size_of(path), operators, parity, quantize, tuple(notes), accuracy
    )


def _write_into_place(
    target: Path,
    write: Writer,
    format: str,
    signatures: Mapping[str, Signature],
    quantization: Quantization | None = None,
    test: AccuracyTest | None = None,
    tolerance: float | None = None,
) -> Artifact:
    with staging_folder(target.parent) as staged:
        written = staged / target.name
        write(signatures, written)
        artifact = prove(written, format, signatures, target.name, quantization, test, tolerance, write)
        move_into_place(written, target)
    return dataclasses.replace(artifact, path=target)


def _file_target(path: str | os.PathLike[str]) -> Path:
    target = as_path("path", path, "models/digits.onnx")
    if target.is_dir():
        raise ValueError(f"path: expected the name of a file, got the folder {target}.")
    return target


def _size_of(path: Path) -> int:
    """Return the bytes of a file, or of all the files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
