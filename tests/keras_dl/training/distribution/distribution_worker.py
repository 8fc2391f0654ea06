"""One worker of test_distribution.py: `python distribution_worker.py FOLDER TASK`, its place in TF_CONFIG.

Leaves `<index>.npz`, the weights of each model it trained, and `<index>.json`, the errors it saw, in FOLDER.
The test itself calls `trained` in its own process, as the one worker that the others are compared with.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_dl.recipes import Recipe, get_recipe
from keras_dl.training import train
from keras_dl.training.distribution.cluster import cluster_of

# Ten steps an epoch of 1,437 digits; the last batch has 141, which two workers cannot share evenly.
OPTIONS: dict[str, Any] = {"batch_size": 144, "epochs": 2, "verbose": False}
STEP_SECONDS = 20  # that the others wait for a worker that stands still
SETTINGS: dict[str, dict[str, Any]] = {
    "vae-digits": {"units": "16", "filters": "4", "latent_dim": 3},
    "dcgan-mnist": {"filters": "4,8", "latent_dim": 6},
    "lstm-rows-mnist": {"units": 8},
}


def recipe_of(name: str) -> Recipe:
    """The recipe on digits, small; a GAN's Adam must not blow up the rounding of gradients near 0."""
    recipe = get_recipe(name).configured(data="digits", settings=SETTINGS[name])
    if name != "dcgan-mnist":
        return recipe
    players = ("generator_optimizer", "discriminator_optimizer")

    def optimizer(steps: int) -> dict[str, Any]:
        return {player: keras.optimizers.SGD(0.05, momentum=0.5) for player in players}

    settings = {"filters": (4, 8), "latent_dim": 6, "ema_momentum": 0.9}
    return Recipe(
        name=name,
        summary=recipe.summary,
        data="digits",
        model=recipe.model,
        task=recipe.task,
        optimizer=optimizer,
        settings=settings,
    )


def trained(name: str, out: Path, **options: Any) -> Any:
    """The run."""
    return train(recipe_of(name), out=out, **{**OPTIONS, **options})


class KilledInTheSecondEpoch(keras.callbacks.Callback):
    """A callback that ends the process like a power failure."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.epoch == 1 and batch == 3:
            os.kill(os.getpid(), signal.SIGKILL)


def errors_of(folder: Path, index: int) -> dict[str, str]:
    """Run the task in which the workers differ, or the chief cannot start."""
    images = np.random.default_rng(index).random((40, 8, 8), np.float32)
    (folder / "in use").mkdir(exist_ok=True)
    (folder / "in use" / "file").touch()
    later = np.concatenate([np.zeros((20, 8, 8), np.float32), images[20:]])
    here = folder / f"here {index}"
    here.mkdir()
    os.chdir(here)  # a path that is the same on all workers
    Path("text.txt").write_text("to be or not to be " * 50 + "!?"[index] + "\n" * 40)
    lstm = {"recipe": "char-lstm", "batch_size": 2, "settings": {"units": "4", "sequence_length": "10"}}
    asked: dict[str, dict[str, Any]] = {
        "data": {"data": (images, np.arange(40) % 2), "out": folder / f"data {index}"},
        "later rows": {"data": (later, np.arange(40) % 2), "batch_size": 8, "out": folder / f"rows {index}"},
        "vocabulary": {**lstm, "data": "./text.txt", "out": folder / f"text {index}"},
        "setting": {"settings": {"nope": "1"} if index else {}, "out": folder / f"setting {index}"},
        "name": {"recipe": "nope" if index else "mlp-digits", "out": folder / f"name {index}"},
        "recipe": {"seed": index, "out": folder / f"seed {index}"},
        "out": {"out": folder / "in use"},
        "batch": {"batch_size": 7, "out": folder / f"batch {index}"},
    }
    errors = {}
    for name, options in asked.items():
        try:
            train(**{"recipe": "mlp-digits", "strategy": "multi-worker", "verbose": False, **options})
        except Exception as error:
            errors[name] = f"{type(error).__name__}: {error}"
    return errors


class AsleepInTheFourthStep(keras.callbacks.Callback):
    """A callback that delays the step for longer than the others wait."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch == 3:
            time.sleep(STEP_SECONDS + 10)


def error_beside_a_sleeper(folder: Path, index: int) -> dict[str, Any]:
    """Return the errors of the other workers, and after how many seconds they are raised."""
    callbacks = [AsleepInTheFourthStep()] if index else []
    began = time.monotonic()
    try:
        trained("lstm-rows-mnist", folder / "asleep", strategy="multi-worker", callbacks=callbacks)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "seconds": time.monotonic() - began}
    return {}


def main() -> None:
    folder, task = Path(sys.argv[1]), sys.argv[2]
    index = cluster_of().index
    options: dict[str, Any] = {"strategy": "multi-worker"}
    names = [*SETTINGS] if task in ("all", "three") else ["vae-digits"]
    if task == "killed" and index == 1:
        options["callbacks"] = [KilledInTheSecondEpoch()]
    options["resume"] = task == "resumed"
    weights: dict[str, Any] = {}
    histories: dict[str, Any] = {}
    for name in names:
        run = trained(name, folder / f"{name} {index}", **options)
        weights |= {f"{name} {i:03d}": np.asarray(v) for i, v in enumerate(run.model.variables)}
        histories[name] = {figure: values for figure, values in run.history.items() if figure != "seconds"}
    report: dict[str, Any] = {"histories": histories}
    if task == "all":
        again = trained("vae-digits", folder / f"vae-digits {index}", strategy="multi-worker", resume=True)
        report["again"] = {"folder": str(again.folder), "metrics": again.metrics, "history": again.history}
        report["errors"] = errors_of(folder, index)
    np.savez(folder / f"{index}.npz", **weights)
    if task == "resumed":
        report["asleep"] = error_beside_a_sleeper(folder, index)
    (folder / f"{index}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
