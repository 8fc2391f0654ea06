"""Whose a run folder is, what an interruption or a full disk leaves in it, and how it goes on."""

import dataclasses
import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_dl import callbacks
from keras_dl.recipes import get_recipe
from keras_dl.training import TrainingInterrupted, evaluate, load_run, train
from keras_dl.training.folder_lock import LOCK
from keras_dl_export.files import replacing
from tests._support.runs import Interrupt, assert_same_bits, weights

TINY = {"settings": {"units": "4", "schedule": "constant"}, "verbose": False}


class AtEpoch(keras.callbacks.Callback):
    """Does something when an epoch begins."""

    def __init__(self, epoch, action):
        super().__init__()
        self.epoch, self.action = epoch, action

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.action()


# One training at a time


def test_a_second_training_is_kept_out_of_a_folder_in_use(tmp_path):
    out, refusals = tmp_path / "run", []

    def intrude():
        for resume in (False, True):
            with pytest.raises(FileExistsError, match="^out: .*no other training") as refusal:
                train("mlp-digits", epochs=2, seed=5, out=out, resume=resume, verbose=False)
            refusals.append(str(refusal.value))

    run = train("mlp-digits", epochs=2, out=out, callbacks=[AtEpoch(1, intrude)], **TINY)
    assert len(refusals) == 2
    assert all(f"process {os.getpid()} on" in refusal for refusal in refusals)
    assert json.loads((out / "recipe.json").read_text())["seed"] == run.recipe.seed == 0
    assert not (out / LOCK).exists()


def test_the_lock_of_a_killed_training_is_void(tmp_path):
    (tmp_path / LOCK).write_text("process 1 on nowhere")
    assert train("mlp-digits", epochs=1, out=tmp_path, resume=True, **TINY).metrics
    assert not (tmp_path / LOCK).exists()


def test_trainings_of_one_second_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keras_dl.training.run_folder.time.strftime", lambda *given: "now")
    inner = []

    def train_another():
        inner.append(train("mlp-digits", epochs=1, **TINY))

    outer = train("mlp-digits", epochs=2, callbacks=[AtEpoch(1, train_another)], **TINY)
    assert [str(run.folder) for run in (outer, *inner)] == ["runs/mlp-digits-now", "runs/mlp-digits-now-2"]


def test_a_refused_training_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in (None, "new/run"):
        with pytest.raises(LookupError, match="no-such-set"):
            train("mlp-digits", data="no-such-set", out=out, verbose=False)
    assert not list(tmp_path.iterdir())


# On with it


@pytest.mark.slow
def test_a_finished_run_is_trained_on_as_if_it_had_been_asked_for_more(tmp_path):
    whole = train("mlp-digits", epochs=4, out=tmp_path / "whole", **TINY)
    train("mlp-digits", epochs=2, out=tmp_path / "run", **TINY)
    longer = train("mlp-digits", epochs=4, out=tmp_path / "run", resume=True, verbose=False)
    assert_same_bits(weights(longer.model), weights(whole.model))
    assert longer.history["loss"] == whole.history["loss"]
    assert longer.metrics == whole.metrics
    assert longer.recipe.epochs == load_run(tmp_path / "run").recipe.epochs == 4
    with pytest.raises(ValueError, match=r"^epochs: expected at least 4.*got 3"):
        train("mlp-digits", epochs=3, out=tmp_path / "run", resume=True, verbose=False)


def test_a_broken_off_run_may_be_given_other_epochs(tmp_path):
    with pytest.raises(TrainingInterrupted):
        train("mlp-digits", epochs=9, out=tmp_path, callbacks=[Interrupt(2)], resume=True, **TINY)
    assert len(train("mlp-digits", epochs=3, out=tmp_path, resume=True, verbose=False).history["loss"]) == 3


def test_what_patience_has_ended_does_not_go_on(tmp_path):
    settings = {"units": "4", "patience": "1", "learning_rate": "5"}
    run = train("mlp-digits", epochs=30, out=tmp_path / "run", settings=settings, verbose=False)
    assert len(run.history["loss"]) < 30
    with pytest.raises(ValueError, match=r"^epochs: .*patience"):
        train("mlp-digits", epochs=40, out=tmp_path / "run", resume=True, verbose=False)
    assert load_run(tmp_path / "run").metrics == run.metrics


def test_a_record_that_names_the_file_of_the_model_class_is_read_and_resumed(tmp_path):
    run = train("mlp-digits", epochs=1, out=tmp_path, **TINY)
    record = json.loads((tmp_path / "recipe.json").read_text())
    assert record["model"] == "keras_dl.models.MLP"
    (tmp_path / "recipe.json").write_text(
        json.dumps({**record, "model": "keras_dl.models.dense.networks.MLP"})
    )
    assert load_run(tmp_path).recipe == run.recipe
    assert train("mlp-digits", epochs=2, out=tmp_path, resume=True, verbose=False).recipe.epochs == 2


# Interruptions


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_prints_the_command_that_resumes(number, tmp_path):
    out = tmp_path / "a run"
    command = [sys.executable, "-c", "from keras_dl.cli import main; main()", "train", "mlp-digits"]
    options = ["--epochs", "3000", "--set", "units=4", "--out", str(out)]
    child = subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while callbacks.latest_checkpoint(out / "checkpoints") is None:
            assert child.poll() is None, child.stderr.read()
            assert time.monotonic() < deadline, "no checkpoint in time"
            time.sleep(0.05)
        child.send_signal(number)
        _, errors = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 128 + number
    assert "Traceback" not in errors
    printed = re.search(r"`(keras-dl train .*)`", errors)[1]
    assert shlex.split(printed) == ["keras-dl", "train", "mlp-digits", "--out", str(out), "--resume"]
    done = callbacks.latest_checkpoint(out / "checkpoints")[1]
    assert f"{done} of 3000 epochs are done" in errors
    assert not (out / LOCK).exists()
    assert (
        len(train("mlp-digits", out=out, resume=True, epochs=done + 1, verbose=False).history["loss"])
        == done + 1
    )


def test_an_interruption_before_the_first_epoch_is_reported(tmp_path):
    with pytest.raises(TrainingInterrupted, match="nothing is kept"):
        train("mlp-digits", out=tmp_path / "run", callbacks=[Interrupt(0)], **TINY)
    assert not (tmp_path / "run").exists()


# Disks


def test_a_full_disk_is_named_with_the_file_and_the_checkpoint_before_stays(tmp_path, monkeypatch):
    def fill():
        def full(*args, **kwargs):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(np, "savez", full)

    with pytest.raises(OSError, match=r"epoch-0002\.npz: .*No space left") as full:
        train("mlp-digits", epochs=3, out=tmp_path / "run", callbacks=[AtEpoch(1, fill)], **TINY)
    assert full.value.errno == errno.ENOSPC
    assert callbacks.latest_checkpoint(tmp_path / "run" / "checkpoints")[1] == 1
    assert not list(tmp_path.rglob(".draft-*"))
    monkeypatch.undo()
    assert len(train("mlp-digits", out=tmp_path / "run", resume=True, verbose=False).history["loss"]) == 3


LIMITED = """
import resource, sys
from keras_dl.training import train
size, out = int(sys.argv[1]), sys.argv[2]
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    train("mlp-digits", epochs=1, out=out, settings={"units": (64,)}, verbose=False)
except OSError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_file_that_the_system_cuts_off_is_named(tmp_path):
    command = [sys.executable, "-c", LIMITED, "20000", str(tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert re.search(r"epoch-0001\.npz: .*too large", result.stdout), result.stdout + result.stderr
    assert not (tmp_path / "run").exists()


def test_a_failed_write_keeps_what_was_there(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text("old")

    def fail():
        with replacing(path) as draft:
            draft.write_text("new")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"figures\.json: cannot be written \(No space left.*kept") as failure:
        fail()
    assert failure.value.errno == errno.ENOSPC
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


def test_a_folder_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"out: .*file.run cannot be created") as failure:
        train("mlp-digits", epochs=1, out=tmp_path / "file" / "run", **TINY)
    assert failure.value.errno == errno.ENOTDIR


# Recipes without a name


def test_a_recipe_needs_no_name_that_others_know(tmp_path):
    recipe = dataclasses.replace(get_recipe("mlp-digits"), name="mine", settings={"units": (5,)}, goals=())
    run = train(recipe, epochs=1, seed=3, out=tmp_path, verbose=False)
    assert run.recipe == recipe.configured(epochs=1, seed=3)
    assert np.isfinite(run.metrics["test_accuracy"])
    again = load_run(tmp_path)
    assert (again.metrics, again.history) == (run.metrics, run.history)
    assert again.recipe.name == "mine"
    with pytest.raises(LookupError, match=r"^recipe: .*'mine'.*register"):
        evaluate(again)
    assert train(recipe, epochs=1, out=tmp_path, resume=True, verbose=False).metrics == run.metrics


def other_model(num_classes=10, units=4, seed=0):
    return keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(num_classes, "softmax")]
    )


def test_a_recipe_of_a_known_name_is_not_taken_for_the_known_one(tmp_path):
    recipe = dataclasses.replace(get_recipe("mlp-digits"), model=other_model, settings={}, goals=())
    run = train(recipe, epochs=1, out=tmp_path, verbose=False)
    assert run.recipe.model is other_model
    with pytest.raises(LookupError, match="other_model"):
        evaluate(load_run(tmp_path))
    with pytest.raises(ValueError, match="^model: "):
        train("mlp-digits", out=tmp_path, resume=True, verbose=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("recipe.json", r"^folder: .*recipe\.json is damaged"),
        ("checkpoints/epoch-0002.npz", r"^checkpoint: .*epoch-0002.npz cannot be read.*Remove"),
    ],
)
def test_a_damaged_file_of_a_run_is_named(name, message, tmp_path):
    with pytest.raises(TrainingInterrupted):
        train("mlp-digits", epochs=3, out=tmp_path, callbacks=[Interrupt(2)], **TINY)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:40])
    with pytest.raises(ValueError, match=message):
        train("mlp-digits", out=tmp_path, resume=True, verbose=False)


def test_a_folder_that_vanishes_in_a_training_is_named(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(OSError, match=r"history\.csv: cannot be written .*does not exist or was removed"):
        train("mlp-digits", epochs=3, out=out, callbacks=[AtEpoch(1, lambda: shutil.rmtree(out))], **TINY)
    assert not out.exists()
