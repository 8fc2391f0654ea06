"""Model -> release: every format written, each proven in its own runtime, and published by one rename."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_dl_export.artifact import FORMATS, Artifact
from keras_dl_export.cases import Examples
from keras_dl_export.conversion import prove
from keras_dl_export.lowering import TFLiteRecurrent, emit_onnx
from keras_dl_export.manifest import describe
from keras_dl_export.onnx import DEFAULT_OPSET, write_onnx
from keras_dl_export.release import Release, open_release, publish, write_manifest
from keras_dl_export.saved_model import write_saved_model, write_warmup_requests
from keras_dl_export.signatures import Signature, lower, sign
from keras_dl_export.staging import staging_folder
from keras_dl_export.tflite import write_tflite


def export(
    model: Any,
    folder: str | os.PathLike[str],
    formats: Iterable[str] = FORMATS,
    inputs: Examples = None,
    *,
    random: str = "refuse",
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
            `serving_default`. Inputs without examples are drawn at random.
        random: "refuse" is an error where an endpoint draws random numbers from a hidden generator, such as a
            layer's own: a file would repeat them after every reload. "mean" puts their mean in their place.
        progress: called with the name of each step as it begins.

    Returns:
        The published release.

    Raises:
        ValueError: an unknown format or `random`, an unbuilt model, or `inputs` that do not fit.
        ConversionError: a format cannot express the model.
        ParityError: a file does not give the model's numbers.
        ReleaseError: the folder cannot be written to.
        BackendError: Keras does not run on TensorFlow.
    """
    wanted = _check_formats(formats)
    target = Path(folder)
    if target.name.isdecimal() or target.is_file():
        raise ValueError(f"folder: expected the folder of a release, such as releases/digits, got {target}.")
    say = progress or (lambda step: None)
    say("Tracing the endpoints")
    signatures = sign(model, inputs, random=random)
    with staging_folder(target) as staged:
        artifacts = list(_write(model, signatures, staged, wanted, say))
        say("Writing the manifest")
        write_warmup_requests(signatures, staged)
        write_manifest(staged, describe(model, signatures, artifacts, staged))
        published = publish(staged, target)
    return open_release(published, check=False)


def _check_formats(formats: Iterable[str]) -> set[str]:
    wanted = [formats] if isinstance(formats, str) else list(formats)
    for format in wanted:
        if format not in FORMATS:
            raise ValueError(f"formats: expected any of {', '.join(FORMATS)}, got {format!r}.")
    return set(wanted)


def _write(
    model: Any,
    signatures: Mapping[str, Signature],
    staged: Path,
    formats: set[str],
    say: Callable[[str], object],
) -> Iterator[Artifact]:
    say("Writing the SavedModel")
    write_saved_model(model, signatures, staged)
    say("Checking the SavedModel")
    yield prove(staged, "saved_model", signatures, "saved_model")
    if "tflite" in formats:
        say("Writing TFLite")
        path = staged / "model.tflite"
        lowered = lower(signatures, TFLiteRecurrent())
        same = not any(signature.lowered for signature in signatures.values())
        write_tflite(model, lowered, path, saved_model=staged if same else None)
        say("Checking TFLite")
        yield prove(path, "tflite", lowered, path.name)
    if "onnx" in formats:
        folder = staged / "onnx"
        folder.mkdir()
        for name, signature in lower(signatures, emit_onnx).items():
            say(f"Writing ONNX: {name}")
            path = folder / f"{name}.onnx"
            write_onnx(signature, path, DEFAULT_OPSET)
            say(f"Checking ONNX: {name}")
            yield prove(path, "onnx", {name: signature}, f"onnx/{path.name}")
