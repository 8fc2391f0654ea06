"""Write files of any format and check each in its own runtime."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from keras_dl_export.errors import ConversionError, ExportError
from keras_dl_export.files import move_into_place, staging_folder
from keras_dl_export.format import Format
from keras_dl_export.formats.registry import open_runners
from keras_dl_export.measure.accuracy import AccuracyTest
from keras_dl_export.parity.checking import check_parity
from keras_dl_export.parity.divergence import Divergence
from keras_dl_export.quantization import Quantization
from keras_dl_export.results import Artifact
from keras_dl_export.tracing import Signature, lower


def write_files(
    signatures: Mapping[str, Signature],
    staged: Path,
    formats: Sequence[Format],
    quantizations: Mapping[str, Quantization],
    test: AccuracyTest | None,
    tolerance: float | None,
    progress: Callable[[str], object],
) -> Iterator[Artifact]:
    """Write all files of a release and yield each after its check.

    Args:
        signatures: the endpoints, traced with TensorFlow's own operators.
        staged: the folder of the release.
        formats: the formats, the SavedModel first.
        quantizations: how the files are quantized, by format.
        test: the accuracy test, or None.
        tolerance: raises the tolerance of floating outputs.
        progress: called with the name of each step when it starts.
    """
    for format in formats:
        quantization = quantizations.get(format.name)
        lowered = lower(signatures, format.emitter(quantization.kind if quantization else None))
        same = all(lowered[name] is signature for name, signature in signatures.items())
        for place, names in format.files(lowered).items():
            path = staged / place
            path.parent.mkdir(exist_ok=True)
            step = f"{format.title}: {path.stem}" if "/" in place else format.title
            own = quantization.of(*names) if quantization else None
            held = {name: lowered[name] for name in names}
            progress(f"Writing {step}")
            format.write(held, path, own, saved_model=staged if same else None)
            progress(f"Checking {step}")
            label = format.name if path == staged else place
            artifact = check_written_file(path, format, held, label, own, test, tolerance)
            notes = quantization.notes(names) if quantization else ()
            yield dataclasses.replace(artifact, notes=tuple(dict.fromkeys((*artifact.notes, *notes))))


def write_into_place(
    target: Path,
    format: Format,
    signatures: Mapping[str, Signature],
    quantization: Quantization | None = None,
    test: AccuracyTest | None = None,
    tolerance: float | None = None,
) -> Artifact:
    """Write one file to a staging folder, check it and move it into place.

    Raises:
        ConversionError: the format cannot express the endpoints.
        ParityError: the file does not reproduce the model's numbers.
        AccuracyError: it loses too much accuracy.
        ReleaseError: the folder of `target` is not writable.
    """
    with staging_folder(target.parent) as staged:
        written = staged / target.name
        format.write(signatures, written, quantization)
        artifact = check_written_file(written, format, signatures, target.name, quantization, test, tolerance)
        move_into_place(written, target)
    return dataclasses.replace(artifact, path=target)


def check_written_file(
    path: Path,
    format: Format,
    signatures: Mapping[str, Signature],
    label: str,
    quantization: Quantization | None = None,
    test: AccuracyTest | None = None,
    tolerance: float | None = None,
) -> Artifact:
    """Compare a written file with its model and describe it.

    Args:
        path: the file.
        format: its format.
        signatures: the expected outputs.
        label: its name in errors.
        quantization: how it was quantized.
        test: the accuracy test, or None.
        tolerance: raises the tolerance of floating outputs.

    Raises:
        ParityError: the file does not reproduce the model's numbers.
        AccuracyError: it loses too much accuracy.
        ConversionError: its own runtime cannot load it.
    """
    try:
        runners = open_runners(path, format.name)
    except ExportError as error:
        reason = str(error).replace(str(path), label)
        raise ConversionError(f"{reason} Omit {format.name!r}, or build the layer from others.") from error
    quantize = quantization.kind if quantization else None
    write = partial(format.write, quantization=quantization)
    blame = Divergence(signatures, format.name, write, quantize, tolerance)
    parity = check_parity(runners, signatures, label, quantize, tolerance=tolerance, blame=blame)
    accuracy = None
    if test is not None and test.endpoint in signatures:
        accuracy = test.judge(runners[test.endpoint], label)
    noted = ((*signature.notes, *signature.reference_notes) for signature in signatures.values())
    notes = dict.fromkeys(note for notes in noted for note in notes)
    notes.update(dict.fromkeys(quantization.notes(signatures) if quantization else ()))
    return Artifact(
        path=path,
        format=format.name,
        endpoints=tuple(signatures),
        bytes=_size_of(path),
        operators=format.count_operators(path, signatures),
        parity=parity,
        quantize=quantize,
        notes=tuple(notes),
        accuracy=accuracy,
        versions=format.versions(path),
    )


def _size_of(path: Path) -> int:
    """Return the size of a file, or of all files in a folder, in bytes."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
