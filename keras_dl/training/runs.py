"""Finished runs: read back, measured, sampled."""

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
    """A finished training.

    Attributes:
        folder: where everything about it lies.
        recipe: what was run, with all changes that were asked for. Settings that were read from a folder have
            lists for tuples.
        model: the trained model.
        metrics: the figures on the test split: name -> value.
        history: the figures after each epoch: name -> values; `seconds` among them.
    """

    folder: Path
    recipe: Recipe
    model: Any
    metrics: dict[str, float]
    history: dict[str, list[float]]


def load_run(folder: str | Path) -> Run:
    """A finished run, as `train` returned it.

    A recipe that is not registered in this process is missed only where its code is needed: `evaluate`,
    `sample` and all attributes of `run.recipe` but its name and epochs raise a `LookupError` then.

    Args:
        folder: the run folder.

    Raises:
        FileNotFoundError: the folder is missing, is no run folder, or its training is not finished.
    """
    folder = Path(folder)
    if not (folder / "recipe.json").exists():
        raise FileNotFoundError(
            f"folder: expected a run folder, but {folder} has no recipe.json. Give a folder that "
            "`keras-dl train` made, such as runs/cnn-digits-20300131-120000."
        )
    recipe = records.read_recipe(folder)
    if not (folder / "metrics.json").exists():
        checkpoint = latest_checkpoint(folder / "checkpoints")
        done = 0 if checkpoint is None else checkpoint[1]
        raise FileNotFoundError(
            f"folder: the training in {folder} is not finished: {done} of {recipe.epochs} epochs are done. "
            f"Go on with `{resume_command(recipe.name, folder)}`."
        )
    return Run(
        folder=folder,
        recipe=recipe,
        model=load_model(folder / "model.keras"),
        metrics=records.read_json(folder / "metrics.json")["figures"],
        history=read_history(folder / "history.csv"),
    )


def evaluate(run: Run, *, data: Any = None) -> dict[str, float]:
    """The figures of a run's model on the test split.

    Args:
        run: a finished run.
        data: another data set than the run's.

    Raises:
        ValueError: the run was trained on arrays, and `data` is not given.
    """
    if data is None and isinstance(run.recipe.data, str) and run.recipe.data == ARRAYS:
        raise ValueError(
            f"data: the run in {run.folder} was trained on arrays, which it does not keep. Pass them as data."
        )
    recipe = run.recipe.configured(data=data)
    return dict(recipe.task.evaluate(run.model, recipe.splits()).figures)


def sample(run: Run, count: int = 64, *, seed: int = 0, out: str | Path | None = None) -> Path:
    """Draw new examples from a run's model into a picture.

    Args:
        run: a finished run of a generative model.
        count: how many images, or characters.
        seed: equal seeds give equal pictures.
        out: the PNG file; by default `<run>/samples/drawn-<seed>.png`.

    Returns:
        The picture's path.

    Raises:
        ValueError: the model is not generative.
    """
    if run.recipe.task.draw is None:
        raise ValueError(
            f"run: {run.recipe.name!r} trains no generative model, so there is nothing to sample. Take a run "
            "of a VAE, GAN or language model."
        )
    path = Path(out) if out is not None else run.folder / "samples" / f"drawn-{seed}.png"
    return figures.save(run.recipe.task.draw(run.model, count, seed), path)
