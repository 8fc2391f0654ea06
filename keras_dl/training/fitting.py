"""`train`: training of a recipe into a run folder."""

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

_PICTURES = 5  # approximate number of times that pictures are drawn during training


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
    """Train a model with a recipe, and evaluate it once on the test split.

        >>> run = train("vae-digits", epochs=5, settings={"latent_dim": 8})
        >>> run.metrics["test_elbo"]

    The same recipe, seed and versions give the same weights on the same CPU, bit for bit, even if the
    training was interrupted.

    With a strategy, `batch_size` is that of all replicas together, so that each has `batch_size` / replicas
    examples, and the learning rate is that of one device: the same batches, noise and gradients give the same
    weights, except for rounding. To use more replicas at full load, increase `batch_size` with their number,
    and adapt the learning rate as on one device. Every worker calls `train` with the same arguments. The
    first worker, the chief, writes `out`; the others do not need access to it.

    Args:
        recipe: a recipe or its name.
        data: another source for `keras_dl.data.load`.
        epochs: passes over the training split.
        out: the run folder; by default a new `runs/<recipe>-<time>`.
        seed: seed of the initial weights, the order of the data and all noise, and of Python's, NumPy's and
            Keras's global generators.
        settings: changes of the arguments of the model, the optimizer and the loading, or `patience`.
        batch_size: examples per step, of all replicas together.
        resume: resume the run in `out` from its last checkpoint. Arguments that are not given are taken from
            its recipe.json. Without a checkpoint, training starts from the beginning, so that a command can
            be repeated until it succeeds. A finished run is returned unchanged, unless `epochs` is larger:
            then it is trained up to `epochs`, and a learning-rate schedule extends over all of them.
        strategy: `"mirrored"`: all devices of this machine; `"multi-worker"`: all devices of the machines in
            the environment variable `TF_CONFIG`; by default one device.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        callbacks: Keras callbacks in addition to those that write the run folder. They run on every worker.
        verbose: show the progress.
        deterministic: also make training on GPUs reproducible bit for bit: see `make_reproducible`.

    Returns:
        The finished run. On workers other than the chief it has the model and the history, but no metrics,
        and its folder is the default parent of run folders, `runs`.

    Raises:
        ValueError: an argument is invalid, differs from that of the run to resume, or differs between
            workers.
        ClusterError: a worker does not start, fails or is lost, or the communication of the replicas failed.
        LookupError: there is no such recipe or data set.
        FileExistsError: `out` is not empty and `resume` is False, or another training uses `out`.
        OSError: a file of the run cannot be written; the text names it. The last checkpoint is kept.
        TrainingInterrupted: Ctrl-C; a `KeyboardInterrupt` whose text is the command to resume.
        NonFiniteError: a metric became NaN or infinite; the checkpoint of the last complete epoch is kept.
    """
    changes = {
        "data": data, "epochs": epochs, "seed": seed, "settings": settings, "batch_size": batch_size,
        "precision": precision,
    }  # fmt: skip
    team = open_team(strategy)
    named = team.prepared(lambda: get_recipe(recipe) if isinstance(recipe, str) else recipe)
    with team_folder(team, named, out, resume) as folder, ExitStack() as stack:
        recipe = team.prepared(lambda: _configured(named, folder, changes))
        if team.prepared(lambda: _is_finished(recipe, folder)):
            run = load_run(folder)
            return run if team.is_chief else dataclasses.replace(run, folder=RUNS, metrics={})
        record = records.recipe_record(recipe)
        team.agree("recipe", lambda: str(record))
        check_for_replicas(recipe.batch_size, recipe.precision, team.replicas)
        team.prepared(lambda: stack.enter_context(claimed(folder, resume)))
        stack.enter_context(interruptible(recipe, folder, strategy))
        checkpoint, done = latest_checkpoint(folder / "checkpoints"), _done(folder)

        make_reproducible(recipe.seed, deterministic=deterministic)
        splits = team.prepared(lambda: recipe.splits(epoch=done))
        team.agree("data", lambda: fingerprint(splits))
        with dtype_policy(recipe.precision):
            with team.scope():
                model = recipe.build(splits)
            if checkpoint is not None:
                restore_state(model, checkpoint[0])
            team.prepared(lambda: _start(folder, record))
            history = _fit(model, recipe, splits, folder, done, callbacks, verbose, team)
            if not team.is_chief:
                return Run(RUNS, recipe, model, {}, history)
            model = _on_one_device(model, recipe, splits, team)
            metrics = _finish(folder, recipe, model, splits, history)
        return Run(folder, records.as_read_back(recipe, folder), model, metrics, history)


def _configured(recipe: Recipe, folder: Path, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe with changes; that of the run in the folder, if there is one."""
    if (folder / "recipe.json").exists():
        return records.resumed(recipe, folder, changes, _done(folder))
    return recipe.configured(**changes)


def _done(folder: Path) -> int:
    checkpoint = latest_checkpoint(folder / "checkpoints")
    return 0 if checkpoint is None else checkpoint[1]


def _is_finished(recipe: Recipe, folder: Path) -> bool:
    """Return whether the folder has a finished run of at least the requested epochs.

    Raises:
        ValueError: more epochs are requested, and the run cannot be resumed.
    """
    if not (folder / "metrics.json").exists():
        return False
    if recipe.epochs <= records.read_recipe_record(folder)["epochs"]:
        return True
    if _has_stalled(recipe, read_history(folder / "history.csv")):
        raise ValueError(
            f"epochs: expected at most {_done(folder)} epochs for the run in {folder}, which ended early "
            f"because its validation loss had not decreased for {recipe.patience} (patience), got "
            f"{recipe.epochs}. Train in another folder with more patience."
        )
    if not _done(folder):
        raise ValueError(
            f"epochs: expected a checkpoint to resume from for {recipe.epochs} epochs, got none in "
            f"{folder / 'checkpoints'}. Train in another folder."
        )
    return False


def _has_stalled(recipe: Recipe, history: Mapping[str, Sequence[float]]) -> bool:
    return recipe.patience is not None and stalled(history.get("val_loss", []), recipe.patience)


def _start(folder: Path, record: Mapping[str, Any]) -> None:
    (folder / "metrics.json").unlink(missing_ok=True)  # a resumed run is not finished
    records.write_json(folder / "recipe.json", record)


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
    """Train from epoch `done` on and write the run folder; return the history of all epochs."""
    history = HistoryFile(folder / "history.csv", read_history(folder / "history.csv", done))
    if _has_stalled(recipe, history.history):
        done = recipe.epochs  # the run was interrupted after early stopping
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
    """Return the arguments of `fit` for the data."""
    if team.strategy is None:
        return {"x": splits.train, "validation_data": splits.validation}
    if splits.shared is None:
        raise ValueError(
            "strategy: expected data that can be divided among replicas, got `Splits` without `shared`. "
            "Train on one device, or pass a function `shared` to `Splits`."
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
    """Return the callbacks that write the run folder, after one that stops at NaN or infinity."""
    checkpoints = folder / "checkpoints"
    advice = (
        "Lower learning_rate or set clipnorm, and train again. The checkpoint of the last complete epoch, if "
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
    """Write the files of a finished run; return its metrics on the test split."""
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
    """Return a copy of model and optimizers without a strategy, which needs no other workers."""
    if team.strategy is None:
        return model
    single = recipe.build(splits)
    copy_state(model, single)
    return single
