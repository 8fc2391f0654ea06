"""Train, look at what was trained, and the whole way in one command."""

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
        int | None, typer.Option(help="Of each training; by default 3, for digits the recipes' own.", min=1)
    ] = None,
) -> None:
    """Train, release, serve and query a classifier and a VAE; leaves a report."""
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
    console.show(Table(("recipe", "data", "what it trains"), rows))


def train(
    recipe: Annotated[str, typer.Argument(help="A name that `keras-dl recipes` lists.", show_default=False)],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a model setting.", show_default=False),
    ] = None,
    data: DataName = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="With --resume: train on to that many.", show_default=False),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Of all devices together.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder.", show_default="runs/<recipe>-<time>")
    ] = None,
    seed: Annotated[int | None, typer.Option(show_default=False)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
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
        bool, typer.Option("--deterministic", help="Make GPUs repeat a training bit for bit, at some cost.")
    ] = False,
) -> None:
    """Train a recipe into a run folder."""
    with _told_when_interrupted():
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
def _told_when_interrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block and the command with a line that says how to go on."""
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
    """Measure a run's model on the test split."""
    console.load_tensorflow()
    from keras_dl import training
    from keras_dl.reports.tables import figures_table

    console.show(figures_table(training.evaluate(training.load_run(run), data=data)))


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


def _show_run(run: Run) -> None:
    from keras_dl.reports.tables import figures_table

    if not run.metrics:  # another worker than the chief
        console.out.print("trained; the first worker measures the model and writes the run")
        return
    console.show(figures_table(run.metrics, "On the test split"))
    console.out.print(f"run {run.folder}\nreport {run.folder / 'report.html'}")


def _settings(pairs: list[str]) -> dict[str, str]:
    """`["latent_dim=8"]` -> `{"latent_dim": "8"}`; the recipe turns the text into the setting's type."""
    return dict(name_and_value("--set", pair, "latent_dim=8") for pair in pairs)
