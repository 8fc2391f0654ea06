"""Run a recipe into a run folder, and read run folders back.

A run folder, `runs/<recipe>-<time>/` by default:

    recipe.json       what was asked for: name, data, settings, seed, epochs, ...
    history.csv       a row an epoch: epoch, seconds, training figures, val_ figures
    checkpoints/      epoch-0007.npz: model, optimizers and random state after 7 epochs (the newest two)
    tensorboard/      the same figures as TensorBoard events
    model.keras       the trained model with its optimizers
    evaluation.npz    arrays behind the test figures, such as confusion_matrix and class_names
    samples/          learning-curves.png, and by the kind of model confusion-matrix.png, samples.png,
                      reconstructions.png, latent-traversal.png; <name>-0005.png are those of epoch 5
    report.html       all of it to look at
    metrics.json      figures (name -> value on the test split), goals, seed, epochs, minutes, data,
                      parameters, precision, versions; written last: a folder that has it is complete

Every file appears whole or not at all. A folder without `metrics.json` is a training that was broken off;
`train(..., out=folder, resume=True)` goes on with it.
"""

from __future__ import annotations

import json
import math
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_dl import plots
from keras_dl.atomic import replacing
from keras_dl.callbacks import (
    Checkpoints,
    HistoryFile,
    Pictures,
    ProgressBar,
    StopOnNonFinite,
    TensorBoardEvents,
    latest_checkpoint,
    read_history,
    restore_state,
)
from keras_dl.models import load_model
from keras_dl.recipes import Evaluation, Recipe, Splits, get_recipe
from keras_dl.run_report import write_run_report

_PICTURES = 5  # times during a training that pictures are drawn, about


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: where everything about it lies.
        recipe: what was run, with all changes that were asked for.
        model: the trained model.
        metrics: the figures on the test split: name -> value.
        history: the figures after each epoch: name -> values; `seconds` among them.
    """

    folder: Path
    recipe: Recipe
    model: Any
    metrics: dict[str, float]
    history: dict[str, list[float]]


def train(
    recipe: str | Recipe,
    *,
    data: Any = None,
    epochs: int | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    resume: bool = False,
    strategy: str | None = None,
    precision: str | None = None,
    callbacks: Sequence[Any] = (),
    verbose: bool = True,
) -> Run:
    """Train a model by a recipe, and measure it once on the test split.

        >>> run = train("vae-digits", epochs=5, settings={"latent_dim": 8})
        >>> run.metrics["test_elbo"]

    Args:
        recipe: a recipe or its name.
        data: another data set, as `keras_dl.data.load` takes it.
        epochs: passes over the training split.
        out: the run folder; by default a new `runs/<recipe>-<time>`.
        seed: of the initialisation, the data's order and all noise. Python's, NumPy's and Keras's global
            generators are set to it.
        settings: changes of the model's, the optimizer's and the loading's arguments.
        batch_size: examples a step.
        resume: go on with the training in `out` from its last checkpoint. What is not given is taken from
            its recipe.json. An `out` without a checkpoint is trained from the start, so that a command can
            be repeated until it succeeds; a finished one is returned as it is.
        strategy: `"mirrored"`, the GPUs of this machine; by default one device.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        callbacks: Keras callbacks besides those that keep the run folder.
        verbose: show the progress.

    Returns:
        The finished run.

    Raises:
        ValueError: an argument is not what it must be, or contradicts the run that is to be resumed.
        LookupError: there is no such recipe or data set.
        FileExistsError: `out` holds something already, and `resume` is False.
        NonFiniteError: a figure became NaN or infinite; the checkpoint of the last whole epoch is kept.
    """
    recipe = get_recipe(recipe) if isinstance(recipe, str) else recipe
    changes = {
        "data": data, "epochs": epochs, "seed": seed, "settings": settings, "batch_size": batch_size,
        "precision": precision,
    }  # fmt: skip
    folder = _run_folder(recipe, out, resume)
    if resume and (folder / "recipe.json").exists():
        recipe = _resumed(recipe, folder, changes)
        if (folder / "metrics.json").exists():
            return load_run(folder)
    else:
        recipe = recipe.configured(**changes)
    checkpoint = latest_checkpoint(folder / "checkpoints")
    done = 0 if checkpoint is None else checkpoint[1]

    keras.utils.set_random_seed(recipe.seed)
    splits = recipe.splits(epoch=done)
    with _strategy(strategy), _dtype_policy(recipe.precision):
        model = recipe.build(splits)
    if checkpoint is not None:
        restore_state(model, checkpoint[0])

    with _kept_if_resumable(folder):
        _write_json(folder / "recipe.json", _described(recipe))
        history = HistoryFile(folder / "history.csv", read_history(folder / "history.csv", done))
        progress = [ProgressBar()] if verbose else []
        try:
            model.fit(
                splits.train,
                validation_data=splits.validation,
                epochs=recipe.epochs,
                initial_epoch=done,
                shuffle=False,  # the data set has its own order
                verbose=0,
                callbacks=[*progress, *_keepers(recipe, splits, folder, history), *callbacks],
            )
        finally:
            for bar in progress:
                bar.close()
        _finish(folder, recipe, model, splits, history.history)
    return load_run(folder, model=model)


def load_run(folder: str | Path, *, model: Any = None) -> Run:
    """A finished run, as `train` returned it.

    Args:
        folder: the run folder.
        model: the model, if it is at hand; by default it is loaded.

    Raises:
        FileNotFoundError: the folder is missing, is no run folder, or its training is not finished.
    """
    folder = Path(folder)
    if not (folder / "recipe.json").exists():
        raise FileNotFoundError(
            f"folder: expected a run folder, but {folder} has no recipe.json. Give a folder that "
            "`keras-dl train` made, such as runs/cnn-digits-20300131-120000."
        )
    recipe = _recorded(folder)
    if not (folder / "metrics.json").exists():
        checkpoint = latest_checkpoint(folder / "checkpoints")
        done = 0 if checkpoint is None else checkpoint[1]
        raise FileNotFoundError(
            f"folder: the training in {folder} is not finished: {done} of {recipe.epochs} epochs are done. "
            f"Go on with `keras-dl train {recipe.name} --out {folder} --resume`."
        )
    return Run(
        folder=folder,
        recipe=recipe,
        model=load_model(folder / "model.keras") if model is None else model,
        metrics=json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["figures"],
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
    if data is None and run.recipe.data == _ARRAYS:
        raise ValueError(
            f"data: the run in {run.folder} was trained on arrays, which it does not keep. Pass them as data."
        )
    recipe = run.recipe.configured(data=data)
    return dict(recipe.task.evaluate(run.model, recipe.splits()).figures)


def sample(run: Run, *, count: int = 64, seed: int = 0, out: str | Path | None = None) -> Path:
    """Draw new examples from a run's model into a picture.

    Args:
        run: a finished run of a generative model.
        count: how many.
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
            "of a VAE or GAN recipe."
        )
    path = Path(out) if out is not None else run.folder / "samples" / f"drawn-{seed}.png"
    return plots.save(run.recipe.task.draw(run.model, count, seed), path)


def _keepers(recipe: Recipe, splits: Splits, folder: Path, history: HistoryFile) -> list[Any]:
    """The callbacks that keep the run folder, the first of which lets no broken numbers into it."""
    checkpoints = folder / "checkpoints"
    advice = (
        "Lower learning_rate or set clipnorm, and train anew. The checkpoint of the last whole epoch, if "
        f"there is one, is in {checkpoints}."
    )
    every = math.ceil(recipe.epochs / _PICTURES)
    pictures = [
        Pictures(draw, folder / "samples", every=every, name=name)
        for name, draw in recipe.task.pictures(splits).items()
    ]
    events = TensorBoardEvents(folder / "tensorboard")
    return [StopOnNonFinite(advice), events, history, Checkpoints(checkpoints), *pictures]


def _finish(
    folder: Path, recipe: Recipe, model: Any, splits: Splits, history: Mapping[str, Sequence[float]]
) -> None:
    with replacing(folder / "model.keras") as draft:
        model.save(draft)
    outcome = recipe.task.evaluate(model, splits)
    if outcome.arrays:
        with replacing(folder / "evaluation.npz") as draft:
            np.savez_compressed(draft, **outcome.arrays)  # type: ignore[arg-type]
    pictures = {name: draw(model) for name, draw in recipe.task.pictures(splits).items()}
    pictures |= {**outcome.pictures, "learning-curves": plots.learning_curves(history)}
    (folder / "samples").mkdir(exist_ok=True)
    for name, figure in pictures.items():
        plots.save(figure, folder / "samples" / f"{name}.png")
    measured = _measured(recipe, model, outcome, history)
    write_run_report(folder, _described(recipe), measured)
    _write_json(folder / "metrics.json", measured)


def _measured(
    recipe: Recipe, model: Any, outcome: Evaluation, history: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    goals = [
        {
            "figure": goal.figure,
            **({"at_least": goal.at_least} if goal.at_least is not None else {"at_most": goal.at_most}),
            "reached": goal.reached(outcome.figures),
        }
        for goal in recipe.goals
    ]
    packages = {name: version(name) for name in ("keras-dl", "keras", "tensorflow", "numpy")}
    return {
        "recipe": recipe.name,
        "figures": dict(outcome.figures),
        "goals": goals,
        "data": _source_name(recipe.data),
        "seed": recipe.seed,
        "epochs": len(history["seconds"]),
        "minutes": round(sum(history["seconds"]) / 60, 3),
        "parameters": int(model.count_params()),
        "precision": recipe.precision,
        "versions": {**packages, "python": platform.python_version()},
    }


_ARRAYS = "arrays"


def _source_name(data: Any) -> str:
    return str(data) if isinstance(data, str | Path) else _ARRAYS


def _described(recipe: Recipe) -> dict[str, Any]:
    """What recipe.json holds: all that `Recipe.configured` can change."""
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "data": _source_name(recipe.data),
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "seed": recipe.seed,
        "precision": recipe.precision,
        "settings": {**recipe.load, **recipe.settings},
    }


def _recorded(folder: Path) -> Recipe:
    record = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    return get_recipe(record.pop("name")).configured(
        **{name: value for name, value in record.items() if name != "summary"}
    )


def _resumed(recipe: Recipe, folder: Path, changes: Mapping[str, Any]) -> Recipe:
    """The recipe of the run to be resumed; `changes` may repeat it but not change it."""
    record = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    if record["name"] != recipe.name:
        raise ValueError(
            f"recipe: {folder} is a run of {record['name']!r} and cannot be resumed as {recipe.name!r}. "
            "Resume it under its own name, or choose another folder."
        )
    stored = {name: record[name] for name in changes}
    if changes["data"] is not None and _source_name(changes["data"]) == stored["data"]:
        stored["data"] = changes["data"]  # arrays, which no file can name
    recipe = recipe.configured(**stored)
    wanted = _described(recipe.configured(**changes))
    differing = [name for name, value in _plain(wanted).items() if value != _plain(record)[name]]
    if differing:
        raise ValueError(
            f"{differing[0]}: the run in {folder} was started with {record[differing[0]]!r} and cannot be "
            f"resumed with {wanted[differing[0]]!r}. Leave the argument out, or train anew in another folder."
        )
    return recipe


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON brings it back: tuples are lists."""
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def _run_folder(recipe: Recipe, out: str | Path | None, resume: bool) -> Path:
    if out is None:
        if resume:
            raise ValueError(
                "resume: expected the run folder as `out`, got none. Pass the folder to go on with."
            )
        name = f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        folder = Path("runs") / name
        number = 2
        while folder.exists():
            folder = Path("runs") / f"{name}-{number}"
            number += 1
        return folder
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"out: expected a folder, but {folder} is a file. Choose another path.")
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise FileExistsError(
            f"out: {folder} is not empty. Choose another folder, or go on with the training in it: "
            "resume=True (--resume)."
        )
    return folder


@contextmanager
def _kept_if_resumable(folder: Path) -> Iterator[None]:
    """Makes the folder; if the block fails before the first checkpoint, nothing of it stays."""
    existed = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if not existed and latest_checkpoint(folder / "checkpoints") is None:
            shutil.rmtree(folder)
        raise


def _strategy(name: str | None) -> Any:
    if name is None:
        return nullcontext()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy().scope()
    raise ValueError(
        f"strategy: expected 'mirrored' (the devices of this machine) or nothing (one device), got {name!r}. "
        "Training on several machines is not supported."
    )


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Keras's global policy within the block, in which the model is made."""
    known = ("float32", "mixed_bfloat16", "mixed_float16")
    if name not in known:
        raise ValueError(f"precision: expected one of {', '.join(known)}, got {name!r}. Name one of them.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as draft:
        draft.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
