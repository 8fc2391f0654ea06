"""Commands that release models, and verify and time releases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from keras_dl.cli.options import ReleaseFolder, name_and_value
from keras_dl.reports import console

if TYPE_CHECKING:
    from keras_dl.export import Release


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_KERAS_FILE",
            help="A run folder, a .keras file, or a whole model in an .h5 file.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the release's versions.", show_default="releases/<name>")
    ] = None,
    to: Annotated[str, typer.Option(help="Formats, comma-separated.")] = "saved_model,tflite,onnx",
    quantize: Annotated[
        str | None,
        typer.Option(
            metavar="KIND|FORMAT=KIND,...",
            help="float16, dynamic (TFLite) or int8; or one per format: `tflite=int8,onnx=float16`.",
            show_default=False,
        ),
    ] = None,
    representative_data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER|FILE",
            help="Data for the calibration of int8: `train` of a data set.",
            show_default=False,
        ),
    ] = None,
    accuracy_data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER|FILE",
            help="Measure the accuracy of model and files on `test` of a data set.",
            show_default=False,
        ),
    ] = None,
    max_accuracy_drop: Annotated[
        float | None,
        typer.Option(
            help="Refuse a file whose accuracy drops by more, such as 0.01; measured on `test` of the "
            "representative data unless --accuracy-data is given.",
            show_default=False,
        ),
    ] = None,
    opset: Annotated[int | None, typer.Option(help="ONNX operator set, 13 to 18.", show_default="18")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Fix the batch axis.", min=1, show_default="any")
    ] = None,
    random: Annotated[
        str, typer.Option(help="Random numbers in the model: `refuse`, or replace them by their `mean`.")
    ] = "refuse",
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Larger tolerance of float differences; also used by `verify`.", show_default="1e-5"
        ),
    ] = None,
) -> None:
    """Release a trained model; every file is compared with the model before the release is published."""
    kinds = _kinds(quantize)
    console.load_tensorflow()
    from keras_dl.export import export as export_model

    model, name = _model(source)
    if max_accuracy_drop is not None:
        accuracy_data = accuracy_data or representative_data
    with console.progress("Starting") as progress:
        release = export_model(
            model,
            out or Path("releases") / name,
            formats=[word.strip() for word in to.split(",")],
            quantize=cast(Any, kinds),  # `export` checks the words
            representative_data=_examples(model, representative_data, "train"),
            accuracy_data=_examples(model, accuracy_data, "test"),
            max_accuracy_drop=max_accuracy_drop,
            batch_size=batch_size,
            random=cast(Any, random),
            tolerance=tolerance,
            progress=progress,
            **({} if opset is None else {"opset": opset}),
        )
    _show_artifacts(release, "Each file against the Keras model")
    console.out.print(f"released {release.path}", soft_wrap=True)


def verify(
    release: Annotated[
        Path,
        typer.Argument(
            metavar="RELEASE_OR_FILE",
            help="A release folder, the folder of its versions, or, with --model, any ONNX or TFLite file or "
            "SavedModel of any converter.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN_OR_KERAS_FILE",
            help="Compare with this Keras model (also .h5); by default, with the SavedModel of the release.",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Larger tolerance of float differences.", show_default="that of the release"),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write an HTML report to this file.", show_default=False)
    ] = None,
) -> None:
    """Verify a release: the hash of every file, the parity of all formats in their runtimes, and latencies.

    With --model, also compare a single file, in its runtime, with the model.
    """
    if html is not None and not html.parent.is_dir():
        raise ValueError(
            f"--html: expected a file in an existing folder, got {html}. Create the folder first."
        )
    console.load_tensorflow()
    from keras_dl.export import open_release, time_release
    from keras_dl.export import verify as verify_files
    from keras_dl.reports.release import release_sections, write_release_report
    from keras_dl_export.measure.timing import this_machine
    from keras_dl_export.release import holds_release

    keras_model = None if model is None else _model(model)[0]
    if release.exists() and not holds_release(release) and (release.is_file() or model is not None):
        _verify_file(release, keras_model, tolerance)
        return
    with console.progress("Verifying the hash of every file") as progress:
        opened = open_release(release)
        progress("Running every file")
        parity = verify_files(opened, keras_model, tolerance=tolerance)
        progress("Timing every file")
        timings = time_release(opened)
    machine = this_machine()
    console.heading(f"{opened.name}, version {opened.version}")
    for section in release_sections(opened, parity, timings, machine, whole_hashes=False):
        console.heading(section.title)
        if section.text:
            console.out.print(section.text, style="dim", markup=False)
        for table in section.tables:
            console.show(table)
    _show_notes(opened)
    if html is not None:
        console.out.print(
            f"report {write_release_report(html, opened, parity, timings, machine)}", soft_wrap=True
        )
    console.out.print(
        f"[green]ok[/] {len(opened.manifest['files'])} files are unchanged; run again, they agree within "
        f"{parity.max_abs_error:.1e} in {len(parity.comparisons)} comparisons"
    )


def _verify_file(path: Path, model: Any, tolerance: float | None) -> None:
    from keras_dl.export import verify as verify_file
    from keras_dl.reports.tables import comparisons_table

    if model is None:
        raise ValueError(
            f"--model: expected the Keras model that {path} was exported from, got none. Pass its .keras "
            "file or run folder."
        )
    with console.progress(f"Running {path.name}"):
        parity = verify_file(path, model, tolerance=tolerance)
    console.show(comparisons_table(parity, f"{path.name} against the Keras model"))
    for note in parity.notes:
        console.out.print(note, markup=False, soft_wrap=True)
    console.out.print(
        f"[green]ok[/] {path.name} agrees with the model within {parity.max_abs_error:.1e} in "
        f"{len(parity.comparisons)} comparisons"
    )


def benchmark(
    release: ReleaseFolder,
    batch_size: Annotated[int, typer.Option(min=1)] = 1,
    calls: Annotated[int, typer.Option(min=1, help="Timed calls of each endpoint.")] = 50,
) -> None:
    """Measure the latency of every endpoint of a release in the runtime of each format."""
    console.load_tensorflow()
    from keras_dl.export import draw_inputs, load_artifact, measure_latency, open_release
    from keras_dl.reports.tables import FORMAT_NAMES, latency_table

    opened = open_release(release)
    for endpoint in opened.inputs:
        latencies = {}
        for artifact in opened.artifacts:
            if endpoint in artifact.endpoints:
                runner = load_artifact(artifact.path, endpoint)
                inputs = draw_inputs(runner.inputs, batch_size, vocabulary=opened.smallest_vocabulary)
                latencies[FORMAT_NAMES[artifact.format]] = measure_latency(runner, inputs, calls=calls)
        console.show(latency_table(latencies, f"{opened.path}: {endpoint}, batch {batch_size}"))


def _show_artifacts(release: Release, caption: str) -> None:
    """Print a table of the files, their accuracy and their notes."""
    from keras_dl.reports.release import accuracy_table
    from keras_dl.reports.tables import parity_table

    console.show(parity_table(release.artifacts, caption))
    if accuracy := accuracy_table(release.artifacts):
        console.show(accuracy)
    _show_notes(release)


def _show_notes(release: Release) -> None:
    from keras_dl.reports.tables import FORMAT_NAMES

    for artifact in release.artifacts:
        for note in artifact.notes:
            console.out.print(f"{FORMAT_NAMES[artifact.format]}: {note}", markup=False, soft_wrap=True)


def _model(source: Path) -> tuple[Any, str]:
    """Return the model of a run folder, a .keras or an .h5 file, and the name of its release."""
    if source.is_dir():
        from keras_dl.training import load_run

        run = load_run(source)
        return run.model, run.recipe.name
    from keras_dl.models import load_model

    # A release has no losses, and old files may contain losses that Keras 3 no longer has.
    return load_model(source, compile=False), source.stem


def _kinds(quantize: str | None) -> str | dict[str, str] | None:
    """Return `"int8"` unchanged, and `"tflite=int8,onnx=float16"` as a dict by format."""
    if quantize is None or "=" not in quantize:
        return quantize
    kinds: dict[str, str] = {}
    for pair in quantize.split(","):
        format, kind = name_and_value("--quantize", pair.strip(), "tflite=int8", "FORMAT=KIND")
        if format in kinds:
            raise ValueError(f"--quantize: expected one quantization per format, got two for {format}.")
        kinds[format] = kind
    return kinds


def _examples(model: Any, source: str | None, split: str) -> Any:
    """Return batches of a data set, with images resized to the input shape of the model."""
    if source is None:
        return None
    from keras_dl.data import load
    from keras_dl_export.model_endpoints import endpoints_of
    from keras_dl_export.specs import DEFAULT_ENDPOINT

    offered = endpoints_of(model)
    endpoint = offered.get(DEFAULT_ENDPOINT) or next(iter(offered.values()))
    shape = next((spec.shape for spec in endpoint.inputs.values()), ())
    sizes: dict[str, Any] = {}
    if len(shape) == 4 and all(isinstance(size, int) for size in shape[1:3]):
        sizes["image_size"] = shape[1:3]
    # Without a test split, a fixed tenth of `train` is used if both are requested together.
    train, test = load(source, ("train", "test"), seed=0, shuffle=split == "train", **sizes)
    return train if split == "train" else test
