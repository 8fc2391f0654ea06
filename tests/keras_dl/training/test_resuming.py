"""An interrupted training continues to the same bits."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_dl import callbacks
from keras_dl.recipes import get_recipe
from keras_dl.training import load_run, records, train
from tests._support.runs import Interrupt, assert_same_bits, weights

CHILD = """
import sys
from keras_dl.training import train
name, folder, settings = sys.argv[1:]
settings = dict(setting.split("=") for setting in settings.split())
train(name, data="digits", out=folder, epochs=40, batch_size=64, settings=settings, verbose=False)
"""
RESUMED = {  # dropout's draws, batch statistics, noise of latents, averages, schedules, two optimizers
    "cnn-digits": {"filters": "4,4", "ema": "0.9"},
    "vae-digits": {"filters": "4", "units": "8", "latent_dim": "2"},
    "dcgan-mnist": {"filters": "4,4", "latent_dim": "5", "ema_momentum": "0.9", "schedule": "cosine"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RESUMED)
def test_a_killed_training_continues_to_the_same_bits(name, tmp_path):
    settings = RESUMED[name]
    text = " ".join(f"{key}={value}" for key, value in settings.items())
    killed = tmp_path / "killed"
    child = subprocess.Popen([sys.executable, "-c", CHILD, name, str(killed), text], env={**os.environ})
    try:
        deadline = time.monotonic() + 240
        while (callbacks.latest_checkpoint(killed / "checkpoints") or (None, 0))[1] < 2:
            assert child.poll() is None, "the child ended before it could be killed"
            assert time.monotonic() < deadline, "no second checkpoint in time"
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    done = callbacks.latest_checkpoint(killed / "checkpoints")[1]
    assert 2 <= done < 40
    with pytest.raises(FileNotFoundError, match=f"{done} of 40 epochs are done"):
        load_run(killed)
    resumed = train(name, out=killed, resume=True, verbose=False)
    options = {"data": "digits", "epochs": 40, "settings": settings, "batch_size": 64, "verbose": False}
    whole = train(name, out=tmp_path / "whole", **options)
    assert_same_bits(weights(resumed.model), weights(whole.model))
    assert resumed.metrics == whole.metrics
    for figure in set(whole.history) - {"seconds"}:
        assert resumed.history[figure] == whole.history[figure]
    assert not list(killed.rglob(".draft-*")), "a draft of the killed process stayed"


@pytest.mark.slow
def test_an_interrupted_early_stopping_stops_at_the_same_epoch(tmp_path):
    options = {
        "epochs": 30,
        "settings": {"units": "8", "patience": "2", "learning_rate": "0.2"},
        "verbose": False,
    }
    whole = train("mlp-digits", out=tmp_path / "whole", **options)
    epochs = len(whole.history["loss"])
    assert 3 < epochs < 30
    losses = whole.history["val_loss"]
    assert np.argmin(losses) == epochs - 3
    for name, epoch in (("a", 2), ("b", epochs - 1)):
        with pytest.raises(KeyboardInterrupt):
            train("mlp-digits", out=tmp_path / name, callbacks=[Interrupt(epoch)], **options)
        resumed = train("mlp-digits", out=tmp_path / name, resume=True, verbose=False)
        assert_same_bits(weights(resumed.model), weights(whole.model))
    # What is left when it is interrupted after it has stopped, before the end is written.
    (tmp_path / "b" / "metrics.json").unlink()
    resumed = train("mlp-digits", out=tmp_path / "b", resume=True, verbose=False)
    assert len(resumed.history["loss"]) == epochs
    assert_same_bits(weights(resumed.model), weights(whole.model))


def test_resuming_starts_a_new_run_and_returns_a_finished_one(tmp_path):
    options = {"out": tmp_path / "run", "resume": True, "verbose": False}
    first = train("mlp-digits", epochs=1, settings={"units": "4"}, **options)
    written = (first.folder / "model.keras").stat().st_mtime_ns
    second = train("mlp-digits", epochs=1, settings={"units": "4"}, **options)
    assert second.metrics == first.metrics
    assert (second.folder / "model.keras").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"epochs": 2}, "epochs: expected at least 3, which the run in .* has completed, got 2"),
        ({"seed": 1}, "seed: the run in .* was started with 0 and cannot be resumed with 1"),
        (
            {"settings": {"latent_dim": 4}},
            "settings: the run in .* was started with .* cannot be resumed with",
        ),
        (
            {"data": "mnist"},
            "data: the run in .* was started with 'digits' and cannot be resumed with 'mnist'",
        ),
    ],
)
def test_a_run_cannot_be_resumed_as_another(vae_run, change, error):
    with pytest.raises(ValueError, match=error):
        train("vae-digits", out=vae_run.folder, resume=True, **change)


def test_resuming_requires_the_folder_and_its_recipe(vae_run):
    with pytest.raises(ValueError, match="resume: expected the run folder as `out`, got none"):
        train("vae-digits", resume=True)
    with pytest.raises(
        ValueError, match="recipe: .* is a run of 'vae-digits' and cannot be resumed as 'cnn-digits'"
    ):
        train("cnn-digits", out=vae_run.folder, resume=True)


def test_another_summary_of_the_recipe_does_not_prevent_resuming(tmp_path):
    recipe = get_recipe("mlp-digits")
    records.write_json(
        tmp_path / "recipe.json", {**records.recipe_record(recipe), "summary": "A former summary"}
    )
    no_changes = dict.fromkeys(("data", "epochs", "seed", "settings", "batch_size", "precision"))
    assert records.resumed(recipe, tmp_path, no_changes, done=0).epochs == recipe.epochs
