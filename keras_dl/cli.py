"""The `keras-dl` command: the library's functions with arguments from the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_dl import console

if TYPE_CHECKING:
    from keras_dl.export import Release
    from keras_dl.training import Run

app = typer.Typer(
    name="keras-dl",
    help="Deep learning from the equation to the endpoint.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

RunFolder = Annotated[Path, typer.Argument(help="A run folder, as `train` leaves it.", show_default=False)]
ReleaseFolder = Annotated[
    Path, typer.Argument(help="A release folder, or the folder of its versions.", show_default=False)
]
ServerUrl = Annotated[
    str, typer.Argument(help="http://HOST:PORT (REST) or grpc://HOST:PORT.", show_default=False)
]
DataName = Annotated[
    str | None, typer.Option("--data", help="Data set; the recipe's own by default.", show_default=False)
]


def main() -> None:
    """Run the command line; an error ends it with one paragraph and exit status 1, never a traceback."""
    # TensorFlow reads these when it is imported, which is why no command imports it before this line.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        app()
    except Exception as error:
        console.show_error(error)
        sys.exit(1)


@app.command()
def quickstart(
    data: Annotated[str, typer.Option(help="An image data set; `digits` needs no network.")] = "digits",
    runs: Annotated[Path, typer.Option(help="Folder of the run folders and the report.")] = Path("runs"),
    releases: Annotated[Path, typer.Option(help="Folder of the releases.")] = Path("releases"),
    epochs: Annotated[
        int | None, typer.Option(help="Of each training; by default 3, for digits the recipes' own.", min=1)
    ] = None,
) -> None:
    """Train, release, serve and query a classifier and a VAE; leaves a report."""
    console.load_tensorflow()
    from keras_dl.quickstart import quickstart as run_quickstart

    run_quickstart(data, runs=runs, releases=releases, epochs=epochs)


@app.command()
def recipes() -> None:
    """List the recipes."""
    console.load_tensorflow()
    from keras_dl.recipes import get_recipe, list_recipes
    from keras_dl.recipes.recipe import source_name
    from keras_dl.report import Table

    all_recipes = [get_recipe(name) for name in list_recipes()]
    rows = [(recipe.name, source_name(recipe.data), recipe.summary) for recipe in all_recipes]
    console.show(Table(("recipe", "data", "what it trains"), rows))


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A name that `keras-dl recipes` lists.", show_default=False)],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a model setting.", show_default=False),
    ] = None,
    data: DataName = None,
    epochs: Annotated[int | None, typer.Option(min=1, show_default=False)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder.", show_default="runs/<recipe>-<time>")
    ] = None,
    seed: Annotated[int | None, typer.Option(show_default=False)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    strategy: Annotated[
        str | None, typer.Option(help="mirrored or multi-worker.", show_default=False)
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="For example mixed_float16.", show_default=False)
    ] = None,
) -> None:
    """Train a recipe into a run folder."""
    console.load_tensorflow()
    from keras_dl import training

    run = training.train(
        recipe,
        data=data,
        epochs=epochs,
        batch_size=batch_size,
        out=out,
        seed=seed,
        settings=_settings(settings or []),
        resume=resume,
        strategy=strategy,
        precision=precision,
    )
    _show_run(run)


@app.command()
def evaluate(run: RunFolder, data: DataName = None) -> None:
    """Measure a run's model on the test split."""
    console.load_tensorflow()
    from keras_dl import training
    from keras_dl.tables import figures_table

    console.show(figures_table(training.evaluate(training.load_run(run), data=data)))


@app.command()
def sample(
    run: RunFolder,
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 64,
    seed: Annotated[int, typer.Option()] = 0,
    out: Annotated[
        Path | None, typer.Option(help="The PNG.", show_default="<run>/samples/drawn-<seed>.png")
    ] = None,
) -> None:
    """Draw from a generative model into a picture."""
    console.load_tensorflow()
    from keras_dl import training

    console.out.print(f"wrote {training.sample(training.load_run(run), count=count, seed=seed, out=out)}")


@app.command()
def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_KERAS_FILE", help="A run folder or a .keras file.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the release's versions.", show_default="releases/<name>")
    ] = None,
    to: Annotated[str, typer.Option(help="Formats, comma-separated.")] = "saved_model,tflite,onnx",
) -> None:
    """Release a trained model; every file is proven equal to the model before it appears."""
    console.load_tensorflow()
    from keras_dl.export import export as export_model

    model, name = _model(source)
    with console.progress("Starting") as progress:
        release = export_model(
            model, out or Path("releases") / name, formats=to.split(","), progress=progress
        )
    _show_artifacts(release, "Each file against the Keras model")
    console.out.print(f"released {release.path}")


@app.command()
def verify(release: ReleaseFolder) -> None:
    """Check a release: the hash of every file, and that all formats agree in their own runtimes."""
    console.load_tensorflow()
    from keras_dl.export import open_release
    from keras_dl.export import verify as verify_files

    opened = open_release(release)
    _show_artifacts(opened, f"{opened.path}, as it was released")
    parity = verify_files(opened)
    console.out.print(
        f"[green]ok[/] {len(opened.manifest['files'])} files are unchanged; run again, they agree within "
        f"{parity.max_abs_error:.1e} in {len(parity.comparisons)} comparisons"
    )


@app.command()
def benchmark(
    release: ReleaseFolder,
    batch_size: Annotated[int, typer.Option(min=1)] = 1,
    calls: Annotated[int, typer.Option(min=1, help="Timed calls of each endpoint.")] = 50,
) -> None:
    """Time every endpoint of a release in the runtime of each format."""
    console.load_tensorflow()
    from keras_dl.export import draw_inputs, load_artifact, measure_latency, open_release
    from keras_dl.tables import FORMAT_NAMES, latency_table

    opened = open_release(release)
    for endpoint in opened.inputs:
        latencies = {}
        for artifact in opened.artifacts:
            if endpoint in artifact.endpoints:
                runner = load_artifact(artifact.path, endpoint)
                inputs = draw_inputs(runner.inputs, batch_size, vocabulary=opened.smallest_vocabulary)
                latencies[FORMAT_NAMES[artifact.format]] = measure_latency(runner, inputs, calls=calls)
        console.show(latency_table(latencies, f"{opened.path}: {endpoint}, batch {batch_size}"))


@app.command()
def serve(
    releases: Annotated[Path, typer.Argument(help="A folder of <name>/<version>/.", show_default=False)],
    rest_port: Annotated[int, typer.Option(help="0 takes a free one, -1 is off.", min=-1)] = 8501,
    grpc_port: Annotated[int, typer.Option(help="0 takes a free one, -1 is off.", min=-1)] = 8500,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
) -> None:
    """Serve releases over the TensorFlow Serving API until interrupted."""
    console.load_tensorflow()
    import signal
    import threading

    from keras_dl.serving import Server

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server = Server(
        releases,
        rest_port=None if rest_port < 0 else rest_port,
        grpc_port=None if grpc_port < 0 else grpc_port,
        host=host,
    )
    with console.progress(f"Loading {releases}"):
        server.start()
    try:
        for url in (server.rest_url if rest_port >= 0 else "", server.grpc_url if grpc_port >= 0 else ""):
            if url:
                console.out.print(f"serving {releases} at {url}")
        stop.wait()
    finally:
        server.stop()


@app.command()
def query(
    url: ServerUrl,
    model: Annotated[str, typer.Argument(help="The model's name.", show_default=False)],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=VALUE", help="JSON, or a .npy file.", show_default=False),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Ask about test examples of this data set.", show_default=False)
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many of them.")] = 8,
    signature: Annotated[str, typer.Option(help="Which function of the model.")] = "serving_default",
    version: Annotated[int | None, typer.Option(min=0, show_default="the latest")] = None,
    label: Annotated[str | None, typer.Option(help="Label of a version.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the outputs to this .npz.", show_default=False)
    ] = None,
) -> None:
    """Ask a model on a server; without inputs, show what it takes and gives."""
    import numpy as np

    from keras_dl.serving import Client
    from keras_dl.tables import answers_table, signatures_table

    if inputs and data:
        raise ValueError("--input, --data: expected one of them, got both. Leave one out.")
    with Client(url) as client:
        metadata = client.metadata(model, version=version, label=label)
        if not inputs and not data:
            console.show(signatures_table(metadata))
            return
        truth = None
        if data:
            console.load_tensorflow()
            from keras_dl.data import load

            examples, truth = next(load(data, "test", batch_size=count).as_numpy_iterator())
            arrays: Any = examples
        else:
            arrays = dict(_input(pair) for pair in inputs or [])
        answers = client.predict(model, arrays, version=version, label=label, signature_name=signature)
    console.show(answers_table(answers, truth))
    if out:
        with out.open("wb") as file:
            np.savez(file, allow_pickle=False, **answers)


@app.command()
def models(
    url: ServerUrl,
    names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", show_default="all")] = None,
) -> None:
    """Show what a server serves: models, versions and their states."""
    from keras_dl.report import Table
    from keras_dl.serving import Client

    with Client(url) as client:
        rows = [
            (name, str(status.version), status.state, status.error)
            for name in names or client.models()
            for status in client.status(name)
        ]
    console.show(Table(("model", "version", "state", "error"), rows))


def _show_run(run: Run) -> None:
    from keras_dl.tables import figures_table

    console.show(figures_table(run.metrics, "On the test split"))
    console.out.print(f"run {run.folder}\nreport {run.folder / 'report.html'}")


def _show_artifacts(release: Release, caption: str) -> None:
    """A table of the files, and what their formats could not express as well as the model."""
    from keras_dl.tables import FORMAT_NAMES, parity_table

    console.show(parity_table(release.artifacts, caption))
    for artifact in release.artifacts:
        for note in artifact.notes:
            console.out.print(f"{FORMAT_NAMES[artifact.format]}: {note}", markup=False, soft_wrap=True)


def _model(source: Path) -> tuple[Any, str]:
    """The model of a run folder or a .keras file, and the name to release it under."""
    if source.is_dir():
        from keras_dl.training import load_run

        run = load_run(source)
        return run.model, run.recipe.name
    from keras_dl.models import load_model

    return load_model(source), source.stem


def _settings(pairs: list[str]) -> dict[str, str]:
    """`["latent_dim=8"]` -> `{"latent_dim": "8"}`; the recipe turns the text into the setting's type."""
    return dict(_name_and_value("--set", pair, "latent_dim=8") for pair in pairs)


def _input(pair: str) -> tuple[str, Any]:
    import json

    import numpy as np

    name, value = _name_and_value("--input", pair, "image=photo.npy")
    if value.endswith(".npy"):
        return name, np.load(value, allow_pickle=False)
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise ValueError(
            f"--input: expected JSON or the path of a .npy file for {name!r}, got {value!r} ({error})."
        ) from None


def _name_and_value(option: str, pair: str, example: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise ValueError(f"{option}: expected NAME=VALUE such as {example}, got {pair!r}.")
    return name, value
