"""Commands that train models, evaluate and sample runs, and run the whole workflow."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.markup import escape

from keras_dl.cli.options import DataName, RunFolder, name_and_value
from keras_dl.reports import console

if TYPE_CHECKING:
    from keras_dl.training import Run


def quickstart(
    data: Annotated[str, typer.Option(help="An image data set; `digits` needs no network.")] = "digits",
    runs: Annotated[Path, typer.Option(help="Folder of the run folders and the report.")] = Path("runs"),
    releases: Annotated[Path, typer.Option(help="Folder of the releases.")] = Path("releases"),
    epochs: Annotated[
        int | None,
        typer.Option(help="Epochs of each training; by default 3, for digits those of the recipes.", min=1),
    ] = None,
) -> None:
    """Train, release, serve and query a classifier and a VAE, and write a report."""
    console.load_tensorflow()
    from keras_dl.quickstart import quickstart as run_quickstart

    run_quickstart(data, runs=runs, releases=releases, epochs=epochs)


def recipes() -> None:
    """List the recipes."""
    console.load_tensorflow()
    from keras_dl.recipes import get_recipe, list_recipes
    from keras_dl.recipes.recipe import source_name
    from keras_dl.reports.html import Table

    all_recipes = [get_recipe(name) for name in list_recipes()]
    rows = [(recipe.name, source_name(recipe.data), recipe.summary) for recipe in all_recipes]
    console.show(Table(("recipe", "data", "summary"), rows))


def train(
    recipe: Annotated[str, typer.Argument(help="A name that `keras-dl recipes` lists.", show_default=False)],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a model setting.", show_default=False),
    ] = None,
    data: DataName = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Epochs of the run, in total with --resume.", show_default=False),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Examples per step, of all devices together.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder.", show_default="runs/<recipe>-<time>")
    ] = None,
    seed: Annotated[int | None, typer.Option(show_default=False)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="mirrored: all devices of this machine; multi-worker: those of all machines in TF_CONFIG.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="For example mixed_float16.", show_default=False)
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Reproducible training on GPUs, bit for bit; slower.")
    ] = False,
) -> None:
    """Train a recipe into a run folder."""
    with _resume_command_on_interruption():
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
            strategy=cast(Any, strategy),  # `train` checks both
            precision=cast(Any, precision),
            deterministic=deterministic,
        )
    _show_run(run)


@contextmanager
def _resume_command_on_interruption() -> Iterator[None]:
    """On Ctrl-C or SIGTERM, end the command with a line that contains the command to resume."""
    received = signal.SIGINT

    def terminate(number: int, frame: object) -> None:
        nonlocal received
        received = signal.Signals(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as interruption:
        text = str(interruption) or "Interrupted before the training began."
        console.err.print(escape(text), soft_wrap=True)  # the command in it can be copied
        raise typer.Exit(128 + received) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def evaluate(run: RunFolder, data: DataName = None) -> None:
    """Evaluate the model of a run on the test split."""
    console.load_tensorflow()
    from keras_dl import training
    from keras_dl.reports.tables import figures_table

    console.show(figures_table(training.evaluate(training.load_run(run), data=data)))


def sample(
    run: RunFolder,
    count: Annotated[int, typer.Option(min=1, help="Number of images, or of characters.")] = 64,
    seed: Annotated[int, typer.Option()] = 0,
    out: Annotated[
        Path | None, typer.Option(help="The PNG file.", show_default="<run>/samples/drawn-<seed>.png")
    ] = None,
) -> None:
    """Draw samples of a generative model into a picture."""
    console.load_tensorflow()
    from keras_dl import training

    console.out.print(f"wrote {training.sample(training.load_run(run), count=count, seed=seed, out=out)}")


def _show_run(run: Run) -> None:
    from keras_dl.reports.tables import figures_table

    if not run.metrics:  # a worker other than the chief
        console.out.print("trained; the first worker evaluates the model and writes the run")
        return
    console.show(figures_table(run.metrics, "On the test split"))
    console.out.print(f"run {run.folder}\nreport {run.folder / 'report.html'}")


def _settings(pairs: list[str]) -> dict[str, str]:
    """Return `["latent_dim=8"]` as `{"latent_dim": "8"}`; the recipe converts the text."""
    return dict(name_and_value("--set", pair, "latent_dim=8") for pair in pairs)
