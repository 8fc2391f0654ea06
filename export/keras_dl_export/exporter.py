"""Model -> release: every format written, each proven in its own runtime, and published by one rename."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_dl_export.accuracy import AccuracyTest, accuracy_test
from keras_dl_export.arguments import as_path
from keras_dl_export.cases import Examples
from keras_dl_export.conversion import examples_or, prove
from keras_dl_export.divergence import Writer
from keras_dl_export.endpoints import endpoints_of, with_batch_size
from keras_dl_export.examples import take_examples
from keras_dl_export.files import staging_folder
from keras_dl_export.formats.registry import FORMATS as ALL
from keras_dl_export.lowering import TFLiteRecurrent, emit_onnx
from keras_dl_export.manifest import describe
from keras_dl_export.onnx import DEFAULT_OPSET, check_opset, write_onnx
from keras_dl_export.parity import check_tolerance
from keras_dl_export.quantization import Quantization, check_quantization
from keras_dl_export.release import Release, open_release, publish, write_manifest
from keras_dl_export.results import Artifact
from keras_dl_export.saved_model import write_saved_model, write_warmup_requests
from keras_dl_export.signatures import Signature, lower, sign
from keras_dl_export.tflite import write_tflite
from keras_dl_export.weights import refuse_non_finite_weights

FORMATS = tuple(format.name for format in ALL)


def export(
    model: Any,
    folder: str | os.PathLike[str],
    formats: Iterable[str] = FORMATS,
    inputs: Examples = None,
    *,
    quantize: str | Mapping[str, str] | None = None,
    representative_data: Any = None,
    accuracy_data: Any = None,
    max_accuracy_drop: float | None = None,
    opset: int = DEFAULT_OPSET,
    batch_size: int | None = None,
    random: str = "refuse",
    tolerance: float | None = None,
    progress: Callable[[str], object] | None = None,
) -> Release:
    """Release a model as the next version: `export(model, "releases/digits")` -> `releases/digits/1`.

    The release is a SavedModel folder with every endpoint as a named signature, which TensorFlow Serving
    loads, and carries the other formats beside it. It appears under its number only when each file has given
    the model's numbers in its own runtime; a failed or killed export leaves no version behind.

    Args:
        model: a built Keras 3 model.
        folder: the folder of the release's versions; its name is the release's.
        formats: any of "saved_model", "tflite" and "onnx"; the SavedModel is always there.
        inputs: real examples to compare on: arrays by input name, or one array for the only input of
            `serving_default`; or a pipeline of such batches (tf.data, a generator, a PyDataset; of pairs, the
            first is taken), of which some of the first examples are read. Inputs without examples are drawn
            at random.
        quantize: a quantisation for all formats that know it, or one for each, such as
            `{"tflite": "int8", "onnx": "float16"}`; see `to_tflite` and `to_onnx`. The SavedModel is never
            quantised.
        representative_data: real inputs for "int8": an array, a dict of arrays by input name, or a tf.data
            pipeline of batches (of pairs, the first is taken). They quantise every endpoint whose inputs they
            have. Any other stays float: its ONNX file wholly, in the TFLite file its activations; the file's
            notes say so.
        accuracy_data: a pair (inputs, labels), or a tf.data pipeline of such batches: how often
            `serving_default` is right before and after is then part of each file's description; see
            `Accuracy`.
        max_accuracy_drop: the largest drop of accuracy that is accepted, as a fraction: 0.003 for 0.3 points.
        opset: the version of the ONNX operators, 13 to 18.
        batch_size: fixes the batch axis of all files; None leaves it free.
        random: "refuse" is an error where an endpoint draws random numbers from a hidden generator, such as a
            layer's own: a file would repeat them after every reload. "mean" puts their mean in their place.
        tolerance: what floating outputs may differ by, relative to 1 + the largest magnitude of a sample's
            output, where it is more than the default; see `parity.TOLERANCES`. `release.json` records it, and
            `verify` takes it from there.
        progress: called with the name of each step as it begins.

    Returns:
        The published release.

    Raises:
        ValueError: an unknown format, quantisation, opset or `random`, an unbuilt model, or data that
            do not fit.
        ConversionError: a format cannot express the model.
        ParityError: a file does not give the model's numbers.
        AccuracyError: a file loses more accuracy than `max_accuracy_drop`.
        ReleaseError: the folder cannot be written to.
        BackendError: Keras does not run on TensorFlow.
    """
    wanted = _check_formats(formats)
    target = as_path("folder", folder, "releases/digits")
    if target.name.isdecimal() or target.is_file():
        raise ValueError(f"folder: expected the folder of a release, such as releases/digits, got {target}.")
    check_opset(opset)
    check_tolerance(tolerance)
    inputs = take_examples("inputs", inputs)
    offered = endpoints_of(model, inputs)
    refuse_non_finite_weights(model)
    fixed = with_batch_size(offered, batch_size)
    quantizations = check_quantization(wanted, quantize, representative_data, fixed)
    test = accuracy_test(offered, accuracy_data, max_accuracy_drop, random)
    say = progress or (lambda step: None)
    say("Tracing the endpoints")
    examples = examples_or(inputs, *quantizations.values())
    signatures = sign(model, examples, random=random, batch_size=batch_size)
    with staging_folder(target) as staged:
        artifacts = list(
            _write(model, signatures, staged, wanted, quantizations, opset, test, tolerance, say)
        )
        write_warmup_requests(signatures, staged)
        say("Counting and timing")
        content = {**describe(model, signatures, artifacts, staged), "tolerance": tolerance}
        say("Writing the manifest")
        write_manifest(staged, content)
        published = publish(staged, target)
    return open_release(published, check=False)


def _check_formats(formats: Iterable[str]) -> list[str]:
    if not isinstance(formats, Iterable):
        raise TypeError(f"formats: expected any of {', '.join(FORMATS)}, got {formats!r}.")
    wanted = [formats] if isinstance(formats, str) else list(formats)
    for format in wanted:
        if format not in FORMATS:
            raise ValueError(f"formats: expected any of {', '.join(FORMATS)}, got {format!r}.")
    return wanted


def _write(
    model: Any,
    signatures: Mapping[str, Signature],
    staged: Path,
    formats: Sequence[str],
    quantizations: Mapping[str, Quantization],
    opset: int,
    test: AccuracyTest | None,
    tolerance: float | None,
    say: Callable[[str], object],
) -> Iterator[Artifact]:
    say("Writing the SavedModel")
    write_saved_model(model, signatures, staged)
    say("Checking the SavedModel")
    write: Writer = functools.partial(write_saved_model, model)
    yield prove(staged, "saved_model", signatures, "saved_model", None, test, tolerance, write)
    if "tflite" in formats:
        say("Writing TFLite")
        path = staged / "model.tflite"
        quantization = quantizations.get("tflite")
        calibrated = quantization is not None and quantization.kind == "int8"
        lowered = lower(signatures, TFLiteRecurrent(calibrated=calibrated))
        same = all(lowered[name] is signature for name, signature in signatures.items())
        write_tflite(model, lowered, path, quantization, saved_model=staged if same else None)
        say("Checking TFLite")
        write = functools.partial(write_tflite, model, quantization=quantization)
        yield prove(path, "tflite", lowered, path.name, quantization, test, tolerance, write)
    if "onnx" in formats:
        folder = staged / "onnx"
        folder.mkdir()
        for name, signature in lower(signatures, emit_onnx).items():
            say(f"Writing ONNX: {name}")
            path = folder / f"{name}.onnx"
            quantization = quantizations.get("onnx")
            own = quantization.of(name) if quantization else None
            write_onnx(signature, path, opset, own)
            say(f"Checking ONNX: {name}")
            write = functools.partial(_write_one_onnx, opset=opset, quantization=own)
            label = f"onnx/{path.name}"
            artifact = prove(path, "onnx", {name: signature}, label, own, test, tolerance, write)
            notes = quantization.notes([name]) if quantization else ()
            yield dataclasses.replace(artifact, notes=artifact.notes + notes)


def _write_one_onnx(
    signatures: Mapping[str, Signature], path: Path, opset: int, quantization: Quantization | None
) -> None:
    (signature,) = signatures.values()
    write_onnx(signature, path, opset, quantization)
