import csv
import itertools
import json
import os
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_dl import callbacks
from keras_dl.models import MLP
from keras_dl.recipes import CLASSIFICATION, Recipe, get_recipe, list_recipes, register
from keras_dl.recipes.settings import parameters_of
from keras_dl.training import evaluate, load_run, sample, train
from tests._support.runs import SMALL, Interrupt, assert_same_bits, weights

pytestmark = pytest.mark.slow


@pytest.fixture
def recipes(monkeypatch):
    """Restore the registry after the test."""
    monkeypatch.setattr("keras_dl.recipes.registry._registered", {})


# The run folder


def test_a_run_folder_holds_the_documented_files(vae_run, mlp_run):
    both = {
        "recipe.json", "history.csv", "checkpoints", "tensorboard", "model.keras", "samples", "report.html",
        "metrics.json", "evaluation.npz",
    }  # fmt: skip
    assert {path.name for path in vae_run.folder.iterdir()} == both
    assert {path.name for path in mlp_run.folder.iterdir()} == both
    names = ("latent-traversal", "reconstructions", "samples")
    drawn = {f"{name}{suffix}.png" for name in names for suffix in ("", "-0001", "-0002", "-0003")}
    assert {path.name for path in (vae_run.folder / "samples").iterdir()} == {*drawn, "learning-curves.png"}
    assert {path.name for path in (mlp_run.folder / "samples").iterdir()} == {
        "confusion-matrix.png",
        "learning-curves.png",
    }
    assert sorted(path.name for path in (vae_run.folder / "checkpoints").iterdir()) == [
        "epoch-0002.npz",
        "epoch-0003.npz",
    ]


def test_metrics_record_goals_seed_and_versions(mlp_run):
    measured = json.loads((mlp_run.folder / "metrics.json").read_text())
    assert measured["figures"] == mlp_run.metrics
    (goal,) = measured["goals"]
    assert goal["reached"] is (mlp_run.metrics["test_accuracy"] >= goal["at_least"])
    assert {name: measured[name] for name in ("recipe", "data", "seed", "epochs", "precision")} == {
        "recipe": "mlp-digits",
        "data": "digits",
        "seed": 0,
        "epochs": 2,
        "precision": "float32",
    }
    units = (64, 256, 128, 10)
    assert measured["parameters"] == sum((a + 1) * b for a, b in itertools.pairwise(units))
    assert measured["minutes"] == pytest.approx(sum(mlp_run.history["seconds"]) / 60, abs=1e-3)
    assert {"keras-dl", "keras", "tensorflow", "numpy", "python"} == set(measured["versions"])


def test_the_history_covers_every_epoch(vae_run):
    with (vae_run.folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name, values in vae_run.history.items():
        assert [float(row[name]) for row in rows] == values
    assert {"seconds", "learning_rate", "elbo", "kl", "reconstruction", "loss", "val_elbo"} <= set(rows[0])


def test_a_run_is_loaded_unchanged(vae_run):
    run = load_run(vae_run.folder)
    assert run.recipe == vae_run.recipe
    assert run.recipe.settings["filters"] == [4, 4]
    assert (run.metrics, run.history, run.folder) == (vae_run.metrics, vae_run.history, vae_run.folder)
    assert_same_bits(weights(run.model), weights(vae_run.model))


def test_the_figures_are_measured_on_the_test_split_and_can_be_measured_again(vae_run, mlp_run):
    for run in (vae_run, mlp_run):
        assert evaluate(load_run(run.folder)) == pytest.approx(run.metrics, rel=1e-5)
    images, labels = next(iter(mlp_run.recipe.splits().test.unbatch().batch(1000)))
    assert len(labels) == 359
    right = np.argmax(mlp_run.model.predict(images, verbose=0), axis=1) == np.asarray(labels)
    assert mlp_run.metrics["test_accuracy"] == pytest.approx(right.mean())
    ones = np.ones((40, 8, 8, 1), "float32")
    assert evaluate(vae_run, data=ones)["test_reconstruction"] != vae_run.metrics["test_reconstruction"]


def test_sampling_draws_a_picture(vae_run, mlp_run, tmp_path):
    path = sample(vae_run, count=4, seed=1, out=tmp_path / "a.png")
    assert path.read_bytes() == sample(vae_run, count=4, seed=1, out=tmp_path / "b.png").read_bytes()
    assert path.read_bytes() != sample(vae_run, count=4, seed=2, out=tmp_path / "c.png").read_bytes()
    with pytest.raises(
        ValueError, match="run: expected a run of a generative model, got one of 'mlp-digits'"
    ):
        sample(mlp_run)


def test_an_unfinished_run_is_rejected(vae_run, tmp_path):
    with pytest.raises(FileNotFoundError, match="folder: expected a run folder, but .* has no recipe.json"):
        load_run(tmp_path)
    (tmp_path / "recipe.json").write_text((vae_run.folder / "recipe.json").read_text())
    with pytest.raises(
        FileNotFoundError, match=r"is not finished: 0 of 3 epochs are done. Resume it with `keras-dl train"
    ):
        load_run(tmp_path)


def test_runs_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [train("mlp-digits", epochs=1, settings={"units": "4"}, verbose=False) for _ in range(2)]
    assert runs[0].folder != runs[1].folder
    assert all(run.folder.match("runs/mlp-digits-*") for run in runs)


# Every recipe


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in list_recipes() if not name.endswith("-digits")])
def test_image_recipes_take_another_data_set(name, tmp_path):
    recipe = get_recipe(name)
    if "image_shape" not in parameters_of(recipe.model):
        pytest.skip(f"{name} is not trained on images")
    small = {"filters": "4,4", "units": "8", "latent_dim": "4"}
    shrunk = {setting: value for setting, value in small.items() if setting in recipe.valid_settings()}
    run = train(name, data="digits", epochs=1, settings=shrunk, out=tmp_path / "run", verbose=False)
    assert run.recipe.data == "digits"
    facts = run.model.get_config()
    assert facts.get("image_shape", (8, 8, 1)) == (8, 8, 1)  # recurrent models read rows of any number
    assert all(np.isfinite(value) for value in run.metrics.values())


def test_a_run_on_arrays_requires_them_for_evaluation(tmp_path, recipes):
    x = np.random.default_rng(0).normal(size=(60, 5)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    recipe = register(
        Recipe(name="table", summary="A table", data=(x, y), model=MLP, task=CLASSIFICATION, epochs=2)
    )
    run = train(recipe, out=tmp_path / "run", verbose=False)
    again = load_run(run.folder)
    with pytest.raises(ValueError, match="data: the run in .* was trained on arrays, which are not saved"):
        evaluate(again)
    assert evaluate(again, data=(x, y)) == pytest.approx(run.metrics)


# Reproducibility


@pytest.mark.slow
def test_the_seed_determines_every_bit(vae_run, tmp_path):
    np.random.default_rng().normal()
    keras.utils.set_random_seed(123)
    again = train("vae-digits", epochs=3, settings=SMALL, out=tmp_path / "again", verbose=False)
    assert_same_bits(weights(again.model), weights(vae_run.model))
    other = train("vae-digits", epochs=3, seed=1, settings=SMALL, out=tmp_path / "other", verbose=False)
    assert (weights(other.model)[0] != weights(vae_run.model)[0]).any()


# Options


@pytest.mark.parametrize("name", ["mlp-digits", "vae-digits"])
def test_mixed_precision_trains_close_to_float32_with_float32_weights(name, tmp_path):
    settings = {"units": "16"}
    runs = [
        train(name, epochs=3, settings=settings, precision=precision, out=tmp_path / precision, verbose=False)
        for precision in ("float32", "mixed_float16")
    ]
    assert keras.config.dtype_policy().name == "float32"
    assert type(callbacks.named_optimizers(runs[1].model)["optimizer"]).__name__ == "LossScaleOptimizer"
    assert {v.dtype for v in runs[1].model.trainable_weights} == {"float32"}
    assert runs[1].history["loss"][-1] < runs[1].history["loss"][0]
    assert runs[1].history["loss"][-1] == pytest.approx(runs[0].history["loss"][-1], rel=0.25)
    assert load_run(runs[1].folder).recipe.precision == "mixed_float16"


def test_a_mirrored_strategy_of_one_device_trains_as_that_device_does(tmp_path):
    options = {"epochs": 2, "settings": {"units": "8"}, "verbose": False}
    one, mirrored = (
        train("mlp-digits", strategy=strategy, out=tmp_path / str(strategy), **options)
        for strategy in (None, "mirrored")
    )
    assert mirrored.metrics == pytest.approx(one.metrics)
    for name in ("loss", "val_loss", "accuracy"):
        assert mirrored.history[name] == pytest.approx(one.history[name])


def test_callbacks_of_the_user_are_called(tmp_path):
    epochs = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    train(
        "mlp-digits",
        epochs=2,
        settings={"units": "4"},
        out=tmp_path / "run",
        callbacks=[watch],
        verbose=False,
    )
    assert epochs == [0, 1]


# What goes wrong


def test_nan_stops_the_training_and_keeps_the_last_good_checkpoint(tmp_path, recipes):
    class Broken(keras.optimizers.schedules.LearningRateSchedule):
        def __init__(self, steps):
            self.steps = steps

        def __call__(self, step):
            return keras.ops.where(step < self.steps // 2, 1e-3, float("nan"))

    def broken(steps):
        return keras.optimizers.SGD(Broken(steps))

    register(
        replace(get_recipe("mlp-digits"), name="broken", optimizer=broken, settings={}, epochs=4, goals=())
    )
    with pytest.raises(
        callbacks.NonFiniteError, match="loss: became nan at step .* of epoch 3. Lower learning_rate"
    ):
        train("broken", out=tmp_path / "run", verbose=False)
    assert callbacks.latest_checkpoint(tmp_path / "run" / "checkpoints")[1] == 2
    with pytest.raises(FileNotFoundError, match="is not finished: 2 of 4 epochs are done"):
        load_run(tmp_path / "run")


def test_a_training_that_fails_before_its_first_checkpoint_leaves_no_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train("mlp-digits", out=tmp_path / "run", callbacks=[Interrupt(0)], verbose=False)
    assert not (tmp_path / "run").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(KeyboardInterrupt):
        train("mlp-digits", out=tmp_path / "mine", callbacks=[Interrupt(0)], verbose=False)
    assert (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("arguments", "kind", "error"),
    [
        ({"recipe": "cnn-digit"}, LookupError, "there is no recipe 'cnn-digit'. Did you mean 'cnn-digits'"),
        ({"data": "no_such_set"}, LookupError, "no_such_set"),
        ({"settings": {"width": "3"}}, ValueError, "has no setting 'width'"),
        (
            {"settings": {"units": "wide"}},
            ValueError,
            "settings: expected comma-separated values, each an integer for units",
        ),
        ({"strategy": "multi-worker"}, ValueError, "TF_CONFIG: expected the cluster of .*, got none. Set it"),
        ({"strategy": "mirror"}, ValueError, "strategy: expected 'mirrored' .*, got 'mirror'. Name one"),
        ({"precision": "float8"}, ValueError, "precision: expected one of float32, .*, got 'float8'"),
        ({"epochs": 0}, ValueError, "epochs: expected an int of at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(arguments, kind, error, tmp_path):
    with pytest.raises(kind, match=error):
        train(**{"recipe": "mlp-digits", "out": tmp_path / "run", "verbose": False, **arguments})
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_not_changed(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="out: .* is not empty. Pass another folder"):
        train("mlp-digits", out=tmp_path)
    with pytest.raises(FileExistsError, match="out: expected a folder, but .*notes.txt is a file"):
        train("mlp-digits", out=tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


# Real data


@pytest.mark.tfds
@pytest.mark.skipif("TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR names no prepared TFDS data")
def test_mnist_is_split_without_leaks():
    splits = get_recipe("cnn-mnist").splits()
    sizes = [
        sum(len(label) for _, label in split.as_numpy_iterator())
        for split in (splits.train, splits.validation, splits.test)
    ]
    assert sizes == [54000, 6000, 10000]
