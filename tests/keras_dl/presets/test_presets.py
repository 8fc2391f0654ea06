"""Presets: the trained weights are loaded, and anything else is refused."""

import hashlib
import json
import shutil

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_dl.models import (
    CNN,
    DCGAN,
    GAN,
    MLP,
    VAE,
    ConditionalGAN,
    LanguageModel,
    SequenceClassifier,
    list_presets,
)
from keras_dl.presets import pretrained
from keras_dl.recipes import get_recipe
from keras_dl.training import train
from keras_dl.training.make_preset import MOST_BYTES, make_preset

IMAGES = (load_digits().images[..., None] / 16).astype("float32")
LABELS = load_digits().target


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    small = {"filters": "8,8", "latent_dim": "3"}
    return {
        "cnn-digits": train("cnn-digits", epochs=1, out=folder / "cnn", verbose=False),
        "vae-digits": train("vae-digits", epochs=1, settings=small, out=folder / "vae", verbose=False),
        "mlp-digits": train("mlp-digits", epochs=1, out=folder / "mlp", verbose=False),
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    return tmp_path


def half(model):
    """The model itself, with each weight rounded to half precision, by Keras's own accessors."""
    rounded = type(model).from_config(model.get_config())
    if not rounded.built:
        rounded.build_from_config(model.get_build_config())
    rounded.set_weights([weight.astype("float16").astype("float32") for weight in model.get_weights()])
    return rounded


def with_model(run, model, folder):
    """A run folder in which another model lies."""
    shutil.copytree(run.folder, folder / "run")
    model.save(folder / "run" / "model.keras")
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_class", "name"), [(CNN, "cnn-digits"), (VAE, "vae-digits"), (MLP, "mlp-digits")]
)
def test_a_preset_is_the_trained_model_rounded_to_half_precision(runs, folder, model_class, name):
    run = runs[name]
    path = make_preset(run.folder, name, into=folder)
    model = model_class.from_preset(name)
    assert type(model) is model_class
    assert model.get_config() == run.model.get_config()
    expected = half(run.model).predict(IMAGES, verbose=0)
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), expected)
    np.testing.assert_allclose(expected, run.model.predict(IMAGES, verbose=0), atol=5e-3)
    assert set(model.endpoints()) == set(run.model.endpoints())
    assert path.stat().st_size < 0.6 * 4 * model.count_params()


def test_the_record_describes_the_training(runs, folder):
    make_preset(runs["cnn-digits"].folder, into=folder)
    make_preset(runs["cnn-digits"].folder, "another", into=folder)
    index = json.loads((folder / "index.json").read_text())
    assert list(index) == ["another", "cnn-digits"] == list_presets()
    record = index["cnn-digits"]
    assert record["run"] == json.loads((runs["cnn-digits"].folder / "metrics.json").read_text())
    assert hashlib.sha256((folder / record["file"]).read_bytes()).hexdigest() == record["sha256"]
    assert sorted(path.name for path in folder.iterdir()) == ["another.npz", "cnn-digits.npz", "index.json"]


def test_the_same_run_produces_the_same_bytes(runs, folder):
    first = make_preset(runs["vae-digits"].folder, into=folder).read_bytes()
    assert make_preset(runs["vae-digits"].folder, into=folder).read_bytes() == first


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (ConditionalGAN(3, (8, 8, 1), 4, filters=(4, 8), ema_momentum=0.9), (np.ones((3, 4)), np.arange(3))),
        (SequenceClassifier("lstm", 5, 10, image_shape=(8, 8, 1)), IMAGES[:3]),
        (LanguageModel("abc", "gru", 5), np.array([[0, 1, 2, 2]])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_models_of_every_family_are_loaded(runs, folder, model, inputs):
    make_preset(with_model(runs["cnn-digits"], model, folder), "any", into=folder)
    loaded = type(model).from_preset("any")
    assert type(loaded) is type(model)
    np.testing.assert_allclose(loaded(inputs), model(inputs), atol=2e-3)


def test_a_base_class_loads_the_preset_of_its_subclass(runs, folder):
    gan = DCGAN((8, 8, 1), latent_dim=4, filters=(4, 8))
    make_preset(with_model(runs["cnn-digits"], gan, folder), "dcgan", into=folder)
    loaded = GAN.from_preset("dcgan")
    assert type(loaded) is DCGAN
    np.testing.assert_allclose(loaded.discriminate(IMAGES[:3]), gan.discriminate(IMAGES[:3]), atol=1e-2)


def test_an_unknown_name_is_refused_with_similar_names(runs, folder):
    make_preset(runs["vae-digits"].folder, into=folder)
    text = "^name: there is no preset 'vae-digit'. Did you mean 'vae-digits'\\? All presets: vae-digits.$"
    with pytest.raises(LookupError, match=text):
        VAE.from_preset("vae-digit")


def test_another_class_is_refused_with_the_right_one(runs, folder):
    make_preset(runs["vae-digits"].folder, into=folder)
    text = (
        "^name: the preset 'vae-digits' is a VAE, not a LanguageModel. Call VAE.from_preset..vae-digits...$"
    )
    with pytest.raises(TypeError, match=text):
        LanguageModel.from_preset("vae-digits")


def test_changed_or_missing_weights_are_refused(runs, folder):
    path = make_preset(runs["vae-digits"].folder, into=folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match="^vae-digits.npz: expected weights with SHA-256 .*Reinstall"):
        VAE.from_preset("vae-digits")
    path.unlink()
    with pytest.raises(RuntimeError, match="of 0 bytes: the file is missing"):
        VAE.from_preset("vae-digits")


def refused(run, folder, text, name="refused"):
    with pytest.raises(ValueError, match=text):
        make_preset(run, name, into=folder)
    assert not (folder / "index.json").exists()
    assert not list(folder.glob("*.npz"))


def test_a_name_that_is_not_a_file_name_is_refused(runs, folder):
    for name in ("../evil", "VAE", "a--b", ""):
        refused(runs["cnn-digits"].folder, folder, "^name: expected lowercase letters and digits.*Pass", name)


def test_weights_that_do_not_match_are_refused(runs, folder):
    huge = CNN(10, (8, 8, 1), filters=(4,))
    huge.head.bias.assign([1e5] + [0] * 9)
    refused(
        with_model(runs["cnn-digits"], huge, folder), folder, "^run: .*within ±65504, got 100000, .*lower"
    )
    shutil.rmtree(folder / "run")
    large = MLP((1200, 1200), image_shape=(8, 8, 1))
    refused(
        with_model(runs["cnn-digits"], large, folder), folder, "^run: .*below 2,000,000 bytes, got .*smaller"
    )


def test_a_model_of_another_package_is_refused(runs, folder):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    refused(
        with_model(runs["cnn-digits"], model, folder), folder, "^run: expected a model of keras_dl.models"
    )


# What is shipped


@pytest.mark.parametrize("name", list_presets())
def test_each_shipped_preset_loads_is_small_and_reached_the_goals_of_its_run(name):
    record = pretrained.read_index(pretrained.FOLDER)[name]
    assert record["bytes"] < MOST_BYTES
    model = keras.saving.get_registered_object(record["model"]["registered_name"]).from_preset(name)
    assert (
        sum(weight.shape.num_elements() for weight in model.trainable_weights) == record["run"]["parameters"]
    )
    assert record["run"]["goals"]
    assert all(goal["reached"] for goal in record["run"]["goals"])


@pytest.mark.parametrize("name", ["cnn-digits", "vae-digits"])
def test_the_included_weights_reach_the_metrics_of_their_record(name):
    run = pretrained.read_index(pretrained.FOLDER)[name]["run"]
    recipe = get_recipe(run["recipe"]).configured(seed=run["seed"])
    splits = recipe.splits()
    model = recipe.build(splits)  # compiled as it was trained
    model.set_weights(type(model).from_preset(name).get_weights())
    figures = recipe.task.evaluate(model, splits).figures
    for figure, value in run["figures"].items():
        assert figures[figure] == pytest.approx(value, rel=0.02, abs=0.005), figure
