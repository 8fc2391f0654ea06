import os
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from keras_dl.data import Description, load
from keras_dl.models import DCGAN, MLP, VAE, LanguageModel
from keras_dl.optimizers import adam_for_each_player
from keras_dl.recipes import CLASSIFICATION, Goal, Recipe, Splits, adam, get_recipe, list_recipes, register
from keras_dl.recipes.settings import parameters_of, parsed

plain = Recipe(name="plain", summary="A test", data="digits", model=MLP, task=CLASSIFICATION)


# The registry


def test_recipes_are_listed_in_order_and_found_by_name():
    names = list_recipes()
    assert names == sorted(names)
    assert {"cnn-digits", "cnn-mnist", "mlp-digits", "vae-digits", "vae-mnist"} <= set(names)
    for name in names:
        recipe = get_recipe(name)
        assert recipe.name == name
        assert recipe.summary
        assert "\n" not in recipe.summary


def test_an_unknown_recipe_is_refused_with_similar_names():
    with pytest.raises(
        LookupError, match="there is no recipe 'cnn-mnst'. Did you mean 'cnn-mnist'.* All recipes: "
    ):
        get_recipe("cnn-mnst")


def test_register_adds_a_recipe_and_protects_names(monkeypatch):
    monkeypatch.setattr("keras_dl.recipes.registry._registered", {})
    register(plain)
    assert get_recipe("plain") is plain
    assert "plain" in list_recipes()
    register(plain)
    with pytest.raises(ValueError, match="recipe: expected an unused name, got 'plain'"):
        register(replace(plain, epochs=3))
    with pytest.raises(ValueError, match="recipe: expected an unused name, got 'cnn-digits'"):
        register(replace(plain, name="cnn-digits"))


def test_an_installed_package_provides_its_recipes(tmp_path, monkeypatch):
    (tmp_path / "photo_recipes.py").write_text(
        textwrap.dedent("""
            from keras_dl.models import MLP
            from keras_dl.recipes import CLASSIFICATION, Recipe

            mine = Recipe(name="mlp-photos", summary="Photos", data="photos/", model=MLP, task=CLASSIFICATION)
            wrong = "no recipe"
        """)
    )
    info = tmp_path / "photo_recipes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: photo-recipes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[keras_dl.recipes]\nmlp-photos = photo_recipes:mine\nbroken = photo_recipes:wrong\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "mlp-photos" in list_recipes()
    assert get_recipe("mlp-photos").data == "photos/"
    with pytest.raises(TypeError, match="expected a keras_dl.recipes.Recipe named 'broken'"):
        get_recipe("broken")


def test_listing_names_imports_no_recipe(monkeypatch):
    monkeypatch.setattr("importlib.import_module", lambda name: pytest.fail(f"imported {name}"))
    assert "cnn-mnist" in list_recipes()


# Settings


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("8", int, 8),
        ("1e-3", float, 1e-3),
        ("8", float, 8.0),
        ("yes", bool, True),
        ("False", bool, False),
        ("none", int | None, None),
        ("3", int | None, 3),
        ("none", str | None, None),
        ("tanh", str | None, "tanh"),
        ("32,64", Sequence[int], (32, 64)),
        ("(32, 64)", Sequence[int] | None, (32, 64)),
        ("7", Sequence[int], (7,)),
        ("", Sequence[int], ()),
        ("28,32", int | tuple[int, int] | None, (28, 32)),
        ("28", int | tuple[int, int] | None, 28),
        ("mlp", Literal["conv", "mlp"], "mlp"),
        ("2", Literal[1, 2], 2),
    ],
)
def test_text_becomes_the_settings_type(text, annotation, value):
    result = parsed("setting", text, annotation)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "annotation", "wanted"),
    [
        ("x", int, "an integer"),
        ("8.5", int | None, "an integer or none"),
        ("maybe", bool, "true or false"),
        ("rnn", Literal["conv", "mlp"], "one of conv, mlp"),
        ("1,b", Sequence[int], "comma-separated values, each an integer"),
    ],
)
def test_text_of_another_type_is_refused(text, annotation, wanted):
    with pytest.raises(ValueError, match=f"settings: expected {wanted} for setting, got '{text}'"):
        parsed("setting", text, annotation)


def test_a_constructor_with_keyword_arguments_has_the_settings_of_its_base_class():
    parameters = parameters_of(DCGAN)
    assert parameters["filters"].default == (64, 128)
    assert parameters["discriminator_steps"].default == 1
    assert "generator" not in parameters
    assert "name" not in parameters  # Keras's own arguments are not settings of a recipe


def test_settings_reach_the_model_the_optimizer_and_the_loading():
    recipe = get_recipe("vae-digits").configured(
        settings={
            "latent_dim": "3",
            "filters": "4,5",
            "learning_rate": "0.25",
            "schedule": "constant",
            "warmup": "0",
            "image_size": "12",
        }
    )
    splits = recipe.splits()
    model = recipe.build(splits)
    assert (model.latent_dim, model.filters, model.image_shape) == (3, (4, 5), (12, 12, 1))
    assert float(model.optimizer.learning_rate) == 0.25
    assert next(iter(splits.train)).shape == (64, 12, 12, 1)
    assert get_recipe("vae-digits").settings["latent_dim"] == 16


def test_an_unknown_setting_is_refused_with_the_list_of_settings():
    with pytest.raises(
        ValueError, match="'vae-digits' has no setting 'latent_dims'.*image_size=None.*latent_dim=16"
    ):
        get_recipe("vae-digits").configured(settings={"latent_dims": "8"})
    with pytest.raises(ValueError, match="has no setting 'num_classes'"):  # the data's to decide
        plain.configured(settings={"num_classes": 3})


def test_changes_keep_the_other_settings_and_drop_goals_of_other_data():
    recipe = get_recipe("cnn-digits")
    changed = recipe.configured(
        epochs=2, seed=5, batch_size=9, precision="mixed_bfloat16", settings={"patience": "4"}
    )
    assert (changed.epochs, changed.seed, changed.batch_size, changed.patience) == (2, 5, 9, 4)
    assert changed.precision == "mixed_bfloat16"
    assert changed.goals == recipe.goals != ()
    assert changed.settings == recipe.settings
    assert recipe.configured(data="digits").goals == recipe.goals
    assert recipe.configured(data="mnist").goals == ()


@pytest.mark.parametrize(("name", "value"), [("epochs", 0), ("batch_size", 2.5), ("seed", -1)])
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected an int of at least .*, got {value}"):
        plain.configured(**{name: value})


# Data and model


def test_the_data_determine_the_shapes():
    recipe = replace(plain, data=(np.zeros((30, 5), "float32"), np.arange(30) % 3))
    model = recipe.build(recipe.splits())
    assert model.num_classes == 3
    assert model.image_shape == (5,)
    assert get_recipe("cnn-mnist").configured(data="digits").build(plain.splits()).image_shape == (8, 8, 1)


def test_data_of_the_wrong_kind_are_refused():
    recipe = get_recipe("vae-digits").configured(data=np.zeros((30, 5), "float32"))
    with pytest.raises(ValueError, match="data: expected images for the recipe 'vae-digits', got arrays"):
        recipe.build(recipe.splits())


def test_the_run_determines_the_seed_of_the_model():
    recipe = get_recipe("vae-digits").configured(seed=11)
    assert recipe.build(recipe.splits()).seed == 11


def test_the_order_of_the_data_is_that_of_the_epoch_and_seed():
    def labels(recipe, epoch):
        return np.concatenate([label for _, label in recipe.splits(epoch).train.as_numpy_iterator()])

    first = plain.splits()
    passes = [np.concatenate([label for _, label in first.train.as_numpy_iterator()]) for _ in range(2)]
    np.testing.assert_array_equal(labels(plain, 1), passes[1])
    assert (passes[0] != passes[1]).any()
    assert (labels(plain.configured(seed=1), 0) != passes[0]).any()


@pytest.mark.parametrize("name", ["dcgan-mnist", "cgan-mnist", "vae-mnist"])
def test_models_are_built_with_the_state_of_their_optimizers(name):
    images = np.random.default_rng(0).random((40, 28, 28, 1))
    recipe = get_recipe(name).configured(data=(images, np.arange(40) % 3), settings={"filters": (2, 3)})
    model = recipe.build(recipe.splits())
    assert model.optimizer.built
    assert len(model.optimizer.variables) > len(model.trainable_variables)


def test_no_xla_on_cpu():
    model = plain.build(plain.splits())
    assert model.jit_compile is False


# Optimizers


def test_the_cosine_schedule_rises_and_falls_by_its_formula():
    optimizer = adam(100, learning_rate=0.5, warmup=0.2)
    for step in (0, 10, 20, 40, 60, 100):
        optimizer.iterations.assign(step)
        expected = 0.5 * step / 20 if step < 20 else 0.25 * (1 + np.cos(np.pi * (step - 20) / 80))
        assert float(optimizer.learning_rate) == pytest.approx(expected, abs=1e-6)


def test_a_constant_schedule_may_warm_up():
    optimizer = adam(100, learning_rate=0.5, schedule="constant", warmup=0.2)
    for step, expected in ((0, 0.0), (10, 0.25), (20, 0.5), (90, 0.5)):
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(expected, abs=1e-6)
    assert float(adam(100, learning_rate=0.5, schedule="constant").learning_rate) == 0.5


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"learning_rate": 0}, "learning_rate: expected a positive number, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a positive number, got nan"),
        ({"warmup": 2}, "warmup: expected a fraction of at least 0 and below 1, got 2"),
        ({"beta_1": 1.5}, "beta_1: expected a fraction"),
        ({"ema": 1.5}, "ema: expected a fraction"),
    ],
)
def test_invalid_optimizer_settings_are_refused(settings, error):
    with pytest.raises(ValueError, match=error):
        adam(100, **settings)
    with pytest.raises(ValueError, match="generator_learning_rate: expected a positive number, got -1"):
        adam_for_each_player(100, generator_learning_rate=-1)


def test_the_label_column_of_a_table_is_a_setting(tmp_path):
    table = tmp_path / "flowers.csv"
    table.write_text("a,kind\n" + "1,rose\n2,iris\n3,lily\n" * 10)
    recipe = get_recipe("mlp-digits").configured(data=str(table), settings={"label_column": "kind"})
    splits = recipe.splits()
    assert splits.description.class_names == ("iris", "lily", "rose")
    assert recipe.build(splits).num_classes == 3


def test_how_a_table_is_written_is_a_setting(tmp_path):
    table = tmp_path / "flowers.csv"
    table.write_bytes(b"id\tnote\ta\tlabel\n" + "7\tä\t1\trose\n3\tö\t2\tiris\n".encode("latin-1") * 10)
    settings = {"separator": "\\t", "encoding": "latin-1", "drop": "id,note"}
    splits = get_recipe("mlp-digits").configured(data=str(table), settings=settings).splits()
    assert splits.description.class_names == ("iris", "rose")
    assert splits.description.num_features == 1


def test_images_without_labels_require_no_class_folders(tmp_path):
    for number in range(40):
        path = tmp_path / "photos" / "album" / f"{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(path)
    splits = get_recipe("vae-digits").configured(data=str(tmp_path / "photos")).splits()
    assert splits.description.image_shape == (8, 8, 1)


# Goals and evaluations


def test_a_goal_has_a_direction():
    assert Goal("accuracy", at_least=0.9).reached({"accuracy": 0.9})
    assert not Goal("accuracy", at_least=0.9).reached({"accuracy": 0.8})
    assert Goal("nll", at_most=0.0).reached({"nll": -1.0})
    assert not Goal("nll", at_most=0.0).reached({"nll": 1.0})
    for bounds in ({}, {"at_least": 1.0, "at_most": 2.0}):
        with pytest.raises(ValueError, match="expected either at_least or at_most"):
            Goal("accuracy", **bounds)


def test_the_test_figures_of_a_classifier_are_scikit_learns():
    keras.utils.set_random_seed(1)
    model = MLP((4,), 3, image_shape=(5,))
    features = np.random.default_rng(0).normal(size=(50, 5)).astype("float32")
    labels = np.arange(50) % 3
    batches = load((features, labels), "train", 16, shuffle=False)
    names = ("a", "b", "c")
    description = Description("x", {"train": 50}, num_features=5, class_names=names)
    splits = Splits(batches, batches, batches, description, lambda: batches)
    outcome = CLASSIFICATION.evaluate(model, splits)
    probabilities = np.asarray(model(features))
    predictions = probabilities.argmax(axis=1)
    assert outcome.figures["test_accuracy"] == pytest.approx(metrics.accuracy_score(labels, predictions))
    assert outcome.figures["test_loss"] == pytest.approx(metrics.log_loss(labels, probabilities), rel=1e-5)
    np.testing.assert_array_equal(
        outcome.arrays["confusion_matrix"], metrics.confusion_matrix(labels, predictions, labels=[0, 1, 2])
    )
    assert tuple(outcome.arrays["class_names"]) == names


def test_the_latents_that_vary_are_traversed():
    task = get_recipe("vae-digits").task
    images = load("digits", "validation", 32, labels=False)
    splits = Splits(images, images, images, Description("digits", {}, image_shape=(8, 8, 1)), lambda: images)

    class OneLatent(VAE):
        def encode(self, image):
            mean, log_variance = super().encode(image)
            return mean * np.eye(12, dtype="float32")[7] * 100, log_variance

    figure = task.pictures(splits)["latent-traversal"](OneLatent(12, (8, 8, 1), filters=(2,), units=(4,)))
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(rows) == 8
    assert "$z_{8}$" in rows


def test_the_recipes_of_characters_compare_cells_of_equal_size():
    vocabulary = [chr(code) for code in range(40, 105)]  # as many characters as Shakespeare's
    sizes = {}
    for cell in ("lstm", "gru", "rnn"):
        recipe = get_recipe(f"char-{cell}")
        settings = {name: value for name, value in recipe.settings.items() if name != "learning_rate"}
        model = LanguageModel(vocabulary, **settings)
        model(np.zeros((1, 4), np.int32))
        sizes[cell] = model.count_params()
    assert max(sizes.values()) <= 1.02 * min(sizes.values()), sizes
    others = [get_recipe(f"char-{cell}") for cell in ("gru", "rnn")]
    for field in ("data", "load", "batch_size", "epochs", "seed"):
        assert all(getattr(other, field) == getattr(get_recipe("char-lstm"), field) for other in others)


@pytest.mark.slow
@pytest.mark.tfds
@pytest.mark.skipif("TFDS_DATA_DIR" not in os.environ, reason="needs MNIST, prepared under TFDS_DATA_DIR")
def test_streamed_splits_are_those_kept_in_memory():
    recipe = get_recipe("cnn-mnist").configured(batch_size=600, settings={"image_size": 8})
    kept, streamed = recipe.splits(), recipe.configured(settings={"stream": "true"}).splits()
    for name in ("train", "validation", "test"):
        ours, theirs = (
            np.sort(np.concatenate([images.sum((1, 2, 3)) for images, _ in part.as_numpy_iterator()]))
            for part in (getattr(streamed, name), getattr(kept, name))
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, err_msg=name)
        assert len(getattr(streamed, name)) == len(getattr(kept, name))
