"""Finished runs: loading, evaluation and sampling."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_dl.callbacks import latest_checkpoint, read_history
from keras_dl.models import load_model
from keras_dl.recipes import Recipe
from keras_dl.recipes.recipe import ARRAYS
from keras_dl.reports import figures
from keras_dl.training import records
from keras_dl.training.interruption import resume_command


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Attributes:
        folder: the run folder.
        recipe: the recipe, with all requested changes. Settings that were read from a folder have lists
            instead of tuples.
        model: the trained model.
        metrics: the metrics on the test split: name -> value.
        history: the metrics after each epoch: name -> values, including `seconds`.
    """

    folder: Path
    recipe: Recipe
    model: Any
    metrics: dict[str, float]
    history: dict[str, list[float]]


def load_run(folder: str | Path) -> Run:
    """Return a finished run, as `train` returned it.

    If its recipe is not registered in this process, `evaluate`, `sample` and all attributes of `run.recipe`
    except its name and epochs raise a `LookupError`.

    Args:
        folder: the run folder.

    Raises:
        FileNotFoundError: the folder is missing or not a run folder, or the run is not finished.
    """
    folder = Path(folder)
    if not (folder / "recipe.json").exists():
        raise FileNotFoundError(
            f"folder: expected a run folder, but {folder} has no recipe.json. Pass a folder that "
            "`keras-dl train` wrote, such as runs/cnn-digits-20300131-120000."
        )
    recipe = records.read_recipe(folder)
    if not (folder / "metrics.json").exists():
        checkpoint = latest_checkpoint(folder / "checkpoints")
        done = 0 if checkpoint is None else checkpoint[1]
        raise FileNotFoundError(
            f"folder: the training in {folder} is not finished: {done} of {recipe.epochs} epochs are done. "
            f"Resume it with `{resume_command(recipe.name, folder)}`."
        )
    return Run(
        folder=folder,
        recipe=recipe,
        model=load_model(folder / "model.keras"),
        metrics=records.read_json(folder / "metrics.json")["figures"],
        history=read_history(folder / "history.csv"),
    )


def evaluate(run: Run, *, data: Any = None) -> dict[str, float]:
    """Return the metrics of the model of a run on the test split.

    Args:
        run: a finished run.
        data: a data set other than that of the run.

    Raises:
        ValueError: the run was trained on arrays, and `data` is not given.
    """
    if data is None and isinstance(run.recipe.data, str) and run.recipe.data == ARRAYS:
        raise ValueError(
            f"data: the run in {run.folder} was trained on arrays, which are not saved. Pass them as data."
        )
    recipe = run.recipe.configured(data=data)
    return dict(recipe.task.evaluate(run.model, recipe.splits()).figures)


def sample(run: Run, count: int = 64, *, seed: int = 0, out: str | Path | None = None) -> Path:
    """Draw new examples from the model of a run into a picture.

    Args:
        run: a finished run of a generative model.
        count: the number of images, or of characters.
        seed: equal seeds give equal pictures.
        out: the PNG file; by default `<run>/samples/drawn-<seed>.png`.

    Returns:
        The path of the picture.

    Raises:
        ValueError: the model is not generative.
    """
    if run.recipe.task.draw is None:
        raise ValueError(
            f"run: expected a run of a generative model, got one of {run.recipe.name!r}. Pass a run of a "
            "VAE, GAN or language model."
        )
    path = Path(out) if out is not None else run.folder / "samples" / f"drawn-{seed}.png"
    return figures.save(run.recipe.task.draw(run.model, count, seed), path)
