"""The public functions: write a model to a file or a release, and verify a file against its model."""

# ruff: noqa: E402
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from keras_dl_export.backend import require_tensorflow_backend

require_tensorflow_backend()  # before the imports below, because Keras imports its backend with itself

from keras_dl_export.arguments import as_path
from keras_dl_export.comparing import check_tolerance
from keras_dl_export.endpoints import pick, with_batch_size
from keras_dl_export.files import staging_folder
from keras_dl_export.format import Format
from keras_dl_export.formats.onnx.onnx_format import DEFAULT_OPSET, OnnxFormat
from keras_dl_export.formats.registry import format_names, formats_named
from keras_dl_export.formats.saved_model.saved_model_format import SavedModelFormat
from keras_dl_export.formats.tflite.tflite_format import TFLiteFormat
from keras_dl_export.formats.tflite.tflite_writer import fuse_lstms
from keras_dl_export.manifest import describe
from keras_dl_export.measure.accuracy import accuracy_test
from keras_dl_export.model_endpoints import endpoints_of
from keras_dl_export.quantization import Quantization, check_quantization
from keras_dl_export.release import Release, holds_release, is_release, open_release, publish, write_manifest
from keras_dl_export.results import Artifact, Parity
from keras_dl_export.samples.drawing import Examples
from keras_dl_export.samples.examples import take_examples
from keras_dl_export.specs import DEFAULT_ENDPOINT
from keras_dl_export.tracing import trace_endpoints
from keras_dl_export.verifying import verify_file, verify_release
from keras_dl_export.weights import refuse_non_finite_weights
from keras_dl_export.writing import write_files, write_into_place

_ALL_FORMATS = format_names()

RandomDraws = Literal["refuse", "mean"]
QuantizedAs = Literal["float16", "dynamic", "int8"]


def to_saved_model(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    inputs: Examples = None,
    random: RandomDraws = "refuse",
    tolerance: float | None = None,
) -> Artifact:
    """Write a SavedModel with every endpoint as a named signature.

    Args:
        model: a built Keras 3 model.
        folder: the folder to write; an existing SavedModel is replaced.
        inputs: real examples for the comparison, as for `export`.
        random: the treatment of random numbers from a hidden generator, as for `export`.
        tolerance: raises the tolerance of floating outputs, as for `export`.

    Returns:
        The artifact, checked against the model.

    Raises:
        ValueError: the model is not built, `folder` has other content, or `inputs` are invalid.
        ConversionError: TensorFlow cannot save the model.
        ParityError: the SavedModel does not reproduce the model's numbers.
        ReleaseError: the parent folder is not writable.
    """
    target = as_path("folder", folder, "models/digits")
    inputs = take_examples("inputs", inputs)
    replaceable = (target / "saved_model.pb").is_file() and not is_release(target)
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not replaceable):
        raise ValueError(
            f"folder: expected a new folder or a SavedModel to replace, got {target}. Choose another folder."
        )
    check_tolerance(tolerance)
    signatures = trace_endpoints(model, inputs, random=random)
    return write_into_place(target, SavedModelFormat(), signatures, tolerance=tolerance)


def to_tflite(
    model: Any,
    path: str | os.PathLike[str],
    *,
    endpoint: str = DEFAULT_ENDPOINT,
    quantize: QuantizedAs | None = None,
    representative_data: Any = None,
    integer_io: bool = False,
    accuracy_data: Any = None,
    max_accuracy_drop: float | None = None,
    inputs: Examples = None,
    batch_size: int | None = None,
    lstm: Literal["exact", "fused"] = "exact",
    random: RandomDraws = "refuse",
    tolerance: float | None = None,
) -> Artifact:
    """Write a TFLite file with one endpoint as its signature, using only builtin operators.

    Args:
        model: a built Keras 3 model.
        path: the file; an existing file is replaced.
        endpoint: the name of the model's endpoint.
        quantize: "float16" halves the weights, "dynamic" keeps them in 8 bits, "int8" computes in 8 bits. The
            inputs and outputs keep their dtypes, and the tolerance is that of
            `comparing.QUANTIZED_TOLERANCES`.
        representative_data: real inputs for "int8", up to 256 examples: an array, a dict of arrays, or a
            tf.data pipeline of batches (of pairs, the first element is used).
        integer_io: whether floating inputs and outputs of an "int8" file are int8, for hardware without
            floats; `Runner.input_scales` and `output_scales` define the meaning of the integers.
        accuracy_data: labeled data to measure the accuracy before and after, as for `export`.
        max_accuracy_drop: the largest allowed drop of accuracy, as a fraction.
        inputs: real examples for the comparison, as for `export`; by default the representative data.
        batch_size: the size of a fixed batch axis; None for a dynamic one.
        lstm: "fused" writes each LSTM as one operator. This gives the smallest file and, in a runtime without
            XNNPACK, the fastest. The operator keeps its state between calls: the caller must reset the
            interpreter's variables before each call, as `load_artifact` does. The batch is then 1, unless the
            model has a fixed batch. "exact" keeps no state.
        random: the treatment of random numbers from a hidden generator, as for `export`.
        tolerance: raises the tolerance of floating outputs, as for `export`.

    Returns:
        The artifact, checked against the model.

    Raises:
        ValueError: an unbuilt model, an unknown endpoint or quantization, or invalid data.
        ConversionError: TFLite cannot express the endpoint.
        ParityError: the file does not reproduce the model's numbers.
        AccuracyError: the file loses more accuracy than `max_accuracy_drop`.
        ReleaseError: the folder of `path` is not writable.
    """
    target = _file_target(path)
    inputs = take_examples("inputs", inputs)
    format = TFLiteFormat()
    if lstm not in ("exact", "fused"):
        raise ValueError(f"lstm: expected 'exact' or 'fused', got {lstm!r}.")
    check_tolerance(tolerance)
    offered = {endpoint: pick(endpoints_of(model, inputs), endpoint)}
    refuse_non_finite_weights(model)
    quantization = check_quantization(
        [format], quantize, representative_data, with_batch_size(offered, batch_size), integer_io
    ).get("tflite")
    test = accuracy_test(offered, accuracy_data, max_accuracy_drop, random)
    examples, emitter = _examples_or(inputs, quantization), format.emitter(quantize)
    signatures = trace_endpoints(model, examples, [endpoint], emitter, random, batch_size)
    if lstm == "fused":
        signatures = fuse_lstms(signatures, calibrated=quantize == "int8")
    return write_into_place(target, format, signatures, quantization, test, tolerance)


def to_onnx(
    model: Any,
    path: str | os.PathLike[str],
    *,
    endpoint: str = DEFAULT_ENDPOINT,
    opset: int = DEFAULT_OPSET,
    quantize: Literal["float16", "int8"] | None = None,
    representative_data: Any = None,
    accuracy_data: Any = None,
    max_accuracy_drop: float | None = None,
    inputs: Examples = None,
    batch_size: int | None = None,
    random: RandomDraws = "refuse",
    tolerance: float | None = None,
) -> Artifact:
    """Write an ONNX file with one endpoint.

    Args:
        model: a built Keras 3 model.
        path: the file; an existing file is replaced.
        endpoint: the name of the model's endpoint.
        opset: the version of the ONNX operators, 13 to 18.
        quantize: "float16" halves the weights and activations, "int8" quantizes both statically (QDQ, weights
            per channel). The inputs and outputs keep their dtypes, and the tolerance is that of
            `comparing.QUANTIZED_TOLERANCES`.
        representative_data: real inputs for "int8", as for `to_tflite`.
        accuracy_data: labeled data to measure the accuracy before and after, as for `export`.
        max_accuracy_drop: the largest allowed drop of accuracy, as a fraction.
        inputs: real examples for the comparison, as for `export`; by default the representative data.
        batch_size: the size of a fixed batch axis; None for a dynamic one.
        random: the treatment of random numbers from a hidden generator, as for `export`.
        tolerance: raises the tolerance of floating outputs, as for `export`.

    Returns:
        The artifact, checked against the model.

    Raises:
        ValueError: an unbuilt model, an unknown endpoint, opset or quantization, or invalid data.
        ConversionError: ONNX cannot express the endpoint.
        ParityError: the file does not reproduce the model's numbers.
        AccuracyError: the file loses more accuracy than `max_accuracy_drop`.
        ReleaseError: the folder of `path` is not writable.
    """
    target = _file_target(path)
    inputs = take_examples("inputs", inputs)
    format = OnnxFormat(opset)
    check_tolerance(tolerance)
    offered = {endpoint: pick(endpoints_of(model, inputs), endpoint)}
    refuse_non_finite_weights(model)
    quantization = check_quantization(
        [format], quantize, representative_data, with_batch_size(offered, batch_size)
    ).get("onnx")
    test = accuracy_test(offered, accuracy_data, max_accuracy_drop, random)
    examples, emitter = _examples_or(inputs, quantization), format.emitter(quantize)
    signatures = trace_endpoints(model, examples, [endpoint], emitter, random, batch_size)
    return write_into_place(target, format, signatures, quantization, test, tolerance)


def export(
    model: Any,
    folder: str | os.PathLike[str],
    formats: Iterable[str] = _ALL_FORMATS,
    inputs: Examples = None,
    *,
    quantize: QuantizedAs | Mapping[str, QuantizedAs] | None = None,
    representative_data: Any = None,
    accuracy_data: Any = None,
    max_accuracy_drop: float | None = None,
    opset: int = DEFAULT_OPSET,
    batch_size: int | None = None,
    random: RandomDraws = "refuse",
    tolerance: float | None = None,
    progress: Callable[[str], object] | None = None,
) -> Release:
    """Export a model as the next version: `export(model, "releases/digits")` writes `releases/digits/1`.

    The release is a SavedModel folder with every endpoint as a named signature, which TensorFlow Serving
    loads, and also contains the other formats. It is published under its number only after each file has
    reproduced the model's numbers in its own runtime; a failed or killed export leaves no version behind.

    Args:
        model: a built Keras 3 model.
        folder: the folder of the release's versions; its name is the name of the release.
        formats: any of "saved_model", "tflite" and "onnx"; the SavedModel is always written.
        inputs: real examples for the comparison: arrays by input name, or one array for the only input of
            `serving_default`; or a pipeline of such batches (tf.data, a generator, a PyDataset; of pairs, the
            first element is used), of which some of the first examples are read. Inputs without examples are
            drawn at random.
        quantize: one quantization for all formats that support it, or one per format, such as
            `{"tflite": "int8", "onnx": "float16"}`; see `to_tflite` and `to_onnx`. The SavedModel is never
            quantized.
        representative_data: real inputs for "int8": an array, a dict of arrays by input name, or a tf.data
            pipeline of batches (of pairs, the first element is used). They calibrate every endpoint whose
            inputs they contain. Other endpoints stay float32: the whole ONNX file, or the activations in the
            TFLite file; the file's notes name them.
        accuracy_data: a pair (inputs, labels), or a tf.data pipeline of such batches. The accuracy of
            `serving_default` before and after is then recorded for each file; see `Accuracy`.
        max_accuracy_drop: the largest allowed drop of accuracy, as a fraction: 0.003 for 0.3 points.
        opset: the version of the ONNX operators, 13 to 18.
        batch_size: the size of a fixed batch axis in all files; None for a dynamic one.
        random: "refuse" raises an error if an endpoint draws random numbers from a hidden generator, such as
            that of a layer: a file would repeat them after every reload. "mean" replaces them by their mean.
        tolerance: the allowed difference of floating outputs, relative to 1 + the largest magnitude of an
            example's output, if it is larger than the default; see `comparing.TOLERANCES`. It is recorded in
            `release.json`, and `verify` reads it from there.
        progress: called with the name of each step as it begins.

    Returns:
        The published release.

    Raises:
        ValueError: an unknown format, quantization, opset or `random`, an unbuilt model, or invalid data.
        ConversionError: a format cannot express the model.
        ParityError: a file does not reproduce the model's numbers.
        AccuracyError: a file loses more accuracy than `max_accuracy_drop`.
        ReleaseError: the folder is not writable.
        BackendError: Keras does not run on TensorFlow.
    """
    # A release alone needs tensorflow-serving-api: a file is written without it.
    from keras_dl_export.formats.saved_model.saved_model_warmup import write_warmup_requests

    wanted = _wanted_formats(formats, opset)
    target = as_path("folder", folder, "releases/digits")
    if target.name.isdecimal() or target.is_file():
        raise ValueError(f"folder: expected the folder of a release, such as releases/digits, got {target}.")
    check_tolerance(tolerance)
    inputs = take_examples("inputs", inputs)
    offered = endpoints_of(model, inputs)
    refuse_non_finite_weights(model)
    fixed = with_batch_size(offered, batch_size)
    quantizations = check_quantization(wanted, quantize, representative_data, fixed)
    test = accuracy_test(offered, accuracy_data, max_accuracy_drop, random)
    progress = progress or (lambda step: None)
    progress("Tracing the endpoints")
    examples = _examples_or(inputs, *quantizations.values())
    emitters = [format.emitter(None) for format in wanted]
    signatures = trace_endpoints(model, examples, random=random, batch_size=batch_size, targets=emitters)
    with staging_folder(target) as staged:
        artifacts = list(write_files(signatures, staged, wanted, quantizations, test, tolerance, progress))
        write_warmup_requests(signatures, staged)
        progress("Counting and timing")
        content = {**describe(model, signatures, artifacts, staged), "tolerance": tolerance}
        progress("Writing the manifest")
        write_manifest(staged, content)
        published = publish(staged, target)
    return open_release(published, check=False)


def verify(
    artifact: str | os.PathLike[str],
    model: Any = None,
    inputs: Examples = None,
    *,
    random: RandomDraws = "refuse",
    tolerance: float | None = None,
) -> Parity:
    """Run a file, or all files of a release, in their own runtimes and compare.

    Args:
        artifact: the result of `to_onnx`, `to_tflite` or `to_saved_model` (for a quantized file, only this
            has the tolerance), a path to such a file, or a release, whose files are also compared with their
            hashes. A file may be from another exporter: its inputs and outputs are matched by name, otherwise
            by order, shape and dtype, and the notes of the result name the matches.
        model: the Keras model to compare with. Without it, the files of a release are compared with its
            SavedModel.
        inputs: real examples for the comparison, as for `export`; by default those of an int8 release's
            warm-up requests.
        random: the treatment of the model's random numbers, as for `export`.
        tolerance: raises the tolerance of floating outputs, as for `export`; a release has its own.

    Returns:
        The comparisons, all of them passed.

    Raises:
        ParityError: an output is out of tolerance; it names endpoint, output, worst index and both values.
        ReleaseError: the release is incomplete or altered.
        ValueError: a single file without a model, or invalid `inputs`.
        FileNotFoundError: `artifact` does not exist.
    """
    path = as_path("artifact", artifact, "releases/digits")
    inputs = take_examples("inputs", inputs)
    check_tolerance(tolerance)
    if not path.exists():
        raise FileNotFoundError(f"artifact: expected a model file or a release, found nothing at {path}.")
    if not holds_release(path):
        if model is None:
            raise ValueError(
                f"model: expected the Keras model of {path}, got None. Only a release needs no model."
            )
        quantize = artifact.quantize if isinstance(artifact, Artifact) else None
        return verify_file(path, quantize, model, inputs, random, tolerance)
    return verify_release(path, model, inputs, random, tolerance)


def _wanted_formats(formats: Iterable[str], opset: int) -> list[Format]:
    """Return the formats of a release in their order, always including the SavedModel."""
    if not isinstance(formats, Iterable):
        raise TypeError(f"formats: expected any of {', '.join(format_names())}, got {formats!r}.")
    names = [formats] if isinstance(formats, str) else list(formats)
    onnx = OnnxFormat(opset)
    wanted = formats_named([SavedModelFormat.name, *names])
    return [onnx if format.name == onnx.name else format for format in wanted]


def _examples_or(inputs: Examples, *quantizations: Quantization | None) -> Examples:
    """Return the examples for the comparison: the given ones, otherwise some of the representative data."""
    if inputs is not None:
        return inputs
    return next((found for each in quantizations if each and (found := each.examples)), None)


def _file_target(path: str | os.PathLike[str]) -> Path:
    target = as_path("path", path, "models/digits.onnx")
    if target.is_dir():
        raise ValueError(f"path: expected the name of a file, got the folder {target}.")
    return target
