"""`train`: a recipe in, a run folder out."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from keras_dl import plots
from keras_dl.atomic import replacing
from keras_dl.callbacks import (
    AverageWeights,
    Checkpoints,
    EarlyStopping,
    HistoryFile,
    Pictures,
    ProgressBar,
    StopOnNonFinite,
    TensorBoardEvents,
    latest_checkpoint,
    read_history,
    restore_state,
    stalled,
)
from keras_dl.recipes import Recipe, Splits, get_recipe
from keras_dl.run_report import write_run_report
from keras_dl.training import records
from keras_dl.training.environment import dtype_policy, make_reproducible, strategy_scope
from keras_dl.training.runs import Run, load_run

_PICTURES = 5  # times during a training that pictures are drawn, about


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
    deterministic: bool = False,
) -> Run:
    """Train a model by a recipe, and measure it once on the test split.

        >>> run = train("vae-digits", epochs=5, settings={"latent_dim": 8})
        >>> run.metrics["test_elbo"]

    The same recipe, seed and versions give the same weights on the same CPU, bit for bit, whether the
    training was interrupted or not.

    Args:
        recipe: a recipe or its name.
        data: another data set, as `keras_dl.data.load` takes it.
        epochs: passes over the training split.
        out: the run folder; by default a new `runs/<recipe>-<time>`.
        seed: of the initialisation, the data's order and all noise; Python's, NumPy's and Keras's global
            generators are set to it, too.
        settings: changes of the model's, the optimizer's and the loading's arguments; `patience`, too.
        batch_size: examples a step.
        resume: go on with the training in `out` from its last checkpoint. What is not given is taken from
            its recipe.json. An `out` without a checkpoint is trained from the start, so that a command can
            be repeated until it succeeds; a finished one is returned as it is.
        strategy: `"mirrored"`, all devices of this machine; by default one device.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        callbacks: Keras callbacks besides those that keep the run folder.
        verbose: show the progress.
        deterministic: make GPUs repeat a training bit for bit, too, at some cost: see `make_reproducible`.

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
        recipe = records.resumed(recipe, folder, changes)
        if (folder / "metrics.json").exists():
            return load_run(folder)
    else:
        recipe = recipe.configured(**changes)
    checkpoint = latest_checkpoint(folder / "checkpoints")
    done = 0 if checkpoint is None else checkpoint[1]

    make_reproducible(recipe.seed, deterministic=deterministic)
    splits = recipe.splits(epoch=done)
    with strategy_scope(strategy), dtype_policy(recipe.precision):
        model = recipe.build(splits)
    if checkpoint is not None:
        restore_state(model, checkpoint[0])
    with _kept_if_resumable(folder):
        records.write_json(folder / "recipe.json", records.described(recipe))
        history = _fit(model, recipe, splits, folder, done, callbacks, verbose)
        _finish(folder, recipe, model, splits, history)
    return load_run(folder, model=model)


def _fit(
    model: Any,
    recipe: Recipe,
    splits: Splits,
    folder: Path,
    done: int,
    callbacks: Sequence[Any],
    verbose: bool,
) -> dict[str, list[float]]:
    """Train from epoch `done` on, and keep the run folder while doing so; the history of all epochs."""
    history = HistoryFile(folder / "history.csv", read_history(folder / "history.csv", done))
    if recipe.patience is not None and stalled(history.history.get("val_loss", []), recipe.patience):
        done = recipe.epochs  # it had stopped early, and was interrupted after that
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
    return history.history


def _keepers(recipe: Recipe, splits: Splits, folder: Path, history: HistoryFile) -> list[Any]:
    """The callbacks that keep the run folder, the first of which lets no broken numbers into it."""
    checkpoints = folder / "checkpoints"
    advice = (
        "Lower learning_rate or set clipnorm, and train anew. The checkpoint of the last whole epoch, if "
        f"there is one, is in {checkpoints}."
    )
    keepers = [StopOnNonFinite(advice), TensorBoardEvents(folder / "tensorboard"), history]
    if recipe.patience is not None:
        keepers.append(EarlyStopping(history, checkpoints / "best.npz", patience=recipe.patience))
    every = math.ceil(recipe.epochs / _PICTURES)
    pictures = [
        Pictures(draw, folder / "samples", every=every, name=name)
        for name, draw in recipe.task.pictures(splits).items()
    ]
    return [*keepers, Checkpoints(checkpoints), *pictures, AverageWeights()]


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
    measured = records.measured(recipe, model, outcome, history)
    write_run_report(folder, records.described(recipe), measured)
    records.write_json(folder / "metrics.json", measured)


def _run_folder(recipe: Recipe, out: str | Path | None, resume: bool) -> Path:
    if out is None:
        if resume:
            raise ValueError(
                "resume: expected the run folder as `out`, got none. Pass the folder to go on with."
            )
        return _new_folder(Path("runs") / f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"out: expected a folder, but {folder} is a file. Choose another path.")
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise FileExistsError(
            f"out: {folder} is not empty. Choose another folder, or go on with the training in it: "
            "resume=True (--resume)."
        )
    return folder


def _new_folder(wanted: Path) -> Path:
    folder, number = wanted, 2
    while folder.exists():
        folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
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
