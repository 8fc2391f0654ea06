"""`train`: a recipe in, a run folder out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from keras_dl.callbacks import (
    AverageWeights,
    Checkpoints,
    EarlyStopping,
    HistoryFile,
    Pictures,
    ProgressBar,
    StopOnNonFinite,
    TensorBoardEvents,
    copy_state,
    latest_checkpoint,
    read_history,
    restore_state,
    stalled,
)
from keras_dl.recipes import Recipe, Splits, get_recipe
from keras_dl.recipes.recipe import Precision
from keras_dl.reports import console, figures
from keras_dl.reports.run import write_run_report
from keras_dl.training import records
from keras_dl.training.distribution import Strategy, Team, check_for_replicas, fingerprint, open_team
from keras_dl.training.folder_lock import claimed
from keras_dl.training.interruption import interruptible
from keras_dl.training.reproducibility import dtype_policy, make_reproducible
from keras_dl.training.run_folder import RUNS, team_folder
from keras_dl.training.runs import Run, load_run
from keras_dl_export.files import replacing

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
    strategy: Strategy | None = None,
    precision: Precision | None = None,
    callbacks: Sequence[Any] = (),
    verbose: bool = True,
    deterministic: bool = False,
) -> Run:
    """Train a model by a recipe, and measure it once on the test split.

        >>> run = train("vae-digits", epochs=5, settings={"latent_dim": 8})
        >>> run.metrics["test_elbo"]

    The same recipe, seed and versions give the same weights on the same CPU, bit for bit, whether the
    training was interrupted or not.

    Under a strategy `batch_size` is that of all replicas together, so that each takes `batch_size` / replicas
    examples, and the learning rate is what it is on one device: the same batches, noise and gradients lead to
    the same weights, but for rounding. To use more replicas at their full size, raise `batch_size` with their
    number, and the learning rate as you would on one device. Every worker calls `train` with the same
    arguments. The first, the chief, writes `out`, and nobody else needs to see it.

    Args:
        recipe: a recipe or its name.
        data: another data set, as `keras_dl.data.load` takes it.
        epochs: passes over the training split.
        out: the run folder; by default a new `runs/<recipe>-<time>`.
        seed: of the initialization, the data's order and all noise; Python's, NumPy's and Keras's global
            generators are set to it, too.
        settings: changes of the model's, the optimizer's and the loading's arguments; `patience`, too.
        batch_size: examples a step, of all replicas together.
        resume: go on with the training in `out` from its last checkpoint. What is not given is taken from
            its recipe.json. An `out` without a checkpoint is trained from the start, so that a command can
            be repeated until it succeeds; a finished one is returned as it is, unless `epochs` asks for more:
            then it is trained on to that many. A learning-rate schedule spans all of them from then on.
        strategy: `"mirrored"`, all devices of this machine; `"multi-worker"`, all devices of the machines
            that the environment variable `TF_CONFIG` names; by default one device.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        callbacks: Keras callbacks besides those that keep the run folder. They run on every worker.
        verbose: show the progress.
        deterministic: make GPUs repeat a training bit for bit, too, at some cost: see `make_reproducible`.

    Returns:
        The finished run. On a worker that is not the chief it holds the model and the history, but no
        metrics, and its folder is the place of the run in general, `runs`.

    Raises:
        ValueError: an argument is not what it must be, contradicts the run that is to be resumed, or differs
            from that of another worker.
        ClusterError: a worker does not come, cannot begin, or is lost; or the replicas' exchanges broke off.
        LookupError: there is no such recipe or data set.
        FileExistsError: `out` holds something already, and `resume` is False; or another training uses it.
        OSError: a file of the run cannot be written; the text names it. The last checkpoint is kept.
        TrainingInterrupted: Ctrl-C; a `KeyboardInterrupt` that says how to go on.
        NonFiniteError: a figure became NaN or infinite; the checkpoint of the last whole epoch is kept.
    """
    changes = {
        "data": data, "epochs": epochs, "seed": seed, "settings": settings, "batch_size": batch_size,
        "precision": precision,
    }  # fmt: skip
    team = open_team(strategy)
    named = team.prepared(lambda: get_recipe(recipe) if isinstance(recipe, str) else recipe)
    with team_folder(team, named, out, resume) as folder, ExitStack() as held:
        recipe = team.prepared(lambda: _configured(named, folder, changes))
        if team.prepared(lambda: _is_finished(recipe, folder)):
            run = load_run(folder)
            return run if team.is_chief else dataclasses.replace(run, folder=RUNS, metrics={})
        described = records.recipe_record(recipe)
        team.agree("recipe", lambda: str(described))
        check_for_replicas(recipe.batch_size, recipe.precision, team.replicas)
        team.prepared(lambda: held.enter_context(claimed(folder, resume)))
        held.enter_context(interruptible(recipe, folder, strategy))
        checkpoint, done = latest_checkpoint(folder / "checkpoints"), _done(folder)

        make_reproducible(recipe.seed, deterministic=deterministic)
        splits = team.prepared(lambda: recipe.splits(epoch=done))
        team.agree("data", lambda: fingerprint(splits))
        with dtype_policy(recipe.precision):
            with team.scope():
                model = recipe.build(splits)
            if checkpoint is not None:
                restore_state(model, checkpoint[0])
            team.prepared(lambda: _begun(folder, described))
            history = _fit(model, recipe, splits, folder, done, callbacks, verbose, team)
            if not team.is_chief:
                return Run(RUNS, recipe, model, {}, history)
            model = _on_one_device(model, recipe, splits, team)
            metrics = _finish(folder, recipe, model, splits, history)
        return Run(folder, records.as_read_back(recipe, folder), model, metrics, history)


def _configured(recipe: Recipe, folder: Path, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with what was asked for; that of the run that goes on, if there is one."""
    if (folder / "recipe.json").exists():
        return records.resumed(recipe, folder, changes, _done(folder))
    return recipe.configured(**changes)


def _done(folder: Path) -> int:
    checkpoint = latest_checkpoint(folder / "checkpoints")
    return 0 if checkpoint is None else checkpoint[1]


def _is_finished(recipe: Recipe, folder: Path) -> bool:
    """Whether there is a finished run in the folder, of as many epochs as are asked for.

    Raises:
        ValueError: more epochs are asked for, and it cannot go on.
    """
    if not (folder / "metrics.json").exists():
        return False
    if recipe.epochs <= records.read_recipe_record(folder)["epochs"]:
        return True
    if _has_stalled(recipe, read_history(folder / "history.csv")):
        raise ValueError(
            f"epochs: the run in {folder} ended after {_done(folder)} because its validation loss had not "
            f"fallen for {recipe.patience} (patience). Train anew in another folder with more patience."
        )
    if not _done(folder):
        raise ValueError(
            f"epochs: expected a checkpoint to go on from to {recipe.epochs} epochs, but there is none in "
            f"{folder / 'checkpoints'}. Train anew in another folder."
        )
    return False


def _has_stalled(recipe: Recipe, history: Mapping[str, Sequence[float]]) -> bool:
    return recipe.patience is not None and stalled(history.get("val_loss", []), recipe.patience)


def _begun(folder: Path, described: Mapping[str, Any]) -> None:
    (folder / "metrics.json").unlink(missing_ok=True)  # a finished run that goes on is not finished
    records.write_json(folder / "recipe.json", described)


def _fit(
    model: Any,
    recipe: Recipe,
    splits: Splits,
    folder: Path,
    done: int,
    callbacks: Sequence[Any],
    verbose: bool,
    team: Team,
) -> dict[str, list[float]]:
    """Train from epoch `done` on, and keep the run folder while doing so; the history of all epochs."""
    history = HistoryFile(folder / "history.csv", read_history(folder / "history.csv", done))
    if _has_stalled(recipe, history.history):
        done = recipe.epochs  # it had stopped early, and was interrupted after that
    progress = [ProgressBar()] if verbose and team.is_chief else []
    if progress and team.strategy is not None:
        console.out.print(f"training on {team}")
    run_callbacks = run_folder_callbacks(recipe, splits, folder, history, pictures=team.is_chief)
    try:
        with team.training():
            model.fit(
                **_fit_data(splits, team),
                epochs=recipe.epochs,
                initial_epoch=done,
                shuffle=False,  # the data set has its own order
                verbose=0,
                callbacks=[*progress, *run_callbacks, *callbacks],
            )
    finally:
        for bar in progress:
            bar.close()
    return history.history


def _fit_data(splits: Splits, team: Team) -> dict[str, Any]:
    """The arguments of `fit` that are the data."""
    if team.strategy is None:
        return {"x": splits.train, "validation_data": splits.validation}
    if splits.shared is None:
        raise ValueError(
            "strategy: expected data that can be shared out among replicas, got some that cannot. Train on "
            "one device, or give `Splits` a function `shared`."
        )
    shared = splits.shared
    train = team.batches(lambda shard: shared(shard)[0])
    validation = team.batches(lambda shard: shared(shard)[1])
    return {
        "x": train,
        "steps_per_epoch": len(splits.train),
        "validation_data": validation,
        "validation_steps": len(splits.validation),
    }


def run_folder_callbacks(
    recipe: Recipe, splits: Splits, folder: Path, history: HistoryFile, *, pictures: bool
) -> list[Any]:
    """The callbacks that keep the run folder, the first of which lets no broken numbers into it."""
    checkpoints = folder / "checkpoints"
    advice = (
        "Lower learning_rate or set clipnorm, and train anew. The checkpoint of the last whole epoch, if "
        f"there is one, is in {checkpoints}."
    )
    run_callbacks = [StopOnNonFinite(advice), TensorBoardEvents(folder / "tensorboard"), history]
    if recipe.patience is not None:
        run_callbacks.append(EarlyStopping(history, checkpoints / "best.npz", patience=recipe.patience))
    every = math.ceil(recipe.epochs / _PICTURES)
    drawn = recipe.task.pictures(splits) if pictures else {}
    drawing = [Pictures(draw, folder / "samples", every=every, name=name) for name, draw in drawn.items()]
    return [*run_callbacks, Checkpoints(checkpoints), *drawing, AverageWeights()]


def _finish(
    folder: Path, recipe: Recipe, model: Any, splits: Splits, history: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """Write what a finished run holds; its figures on the test split."""
    with replacing(folder / "model.keras") as draft:
        model.save(draft)
    outcome = recipe.task.evaluate(model, splits)
    if outcome.arrays:
        with replacing(folder / "evaluation.npz") as draft:
            np.savez_compressed(draft, **outcome.arrays)  # type: ignore[arg-type]
    pictures = {name: draw(model) for name, draw in recipe.task.pictures(splits).items()}
    pictures |= {**outcome.pictures, "learning-curves": figures.learning_curves(history)}
    (folder / "samples").mkdir(exist_ok=True)
    for name, figure in pictures.items():
        figures.save(figure, folder / "samples" / f"{name}.png")
    measured = records.measured(recipe, model, outcome, history)
    write_run_report(folder, records.recipe_record(recipe), measured)
    records.write_json(folder / "metrics.json", measured)
    return dict(measured["figures"])


def _on_one_device(model: Any, recipe: Recipe, splits: Splits, team: Team) -> Any:
    """The same model and optimizers without a strategy, which the other workers need not attend."""
    if team.strategy is None:
        return model
    alone = recipe.build(splits)
    copy_state(model, alone)
    return alone
