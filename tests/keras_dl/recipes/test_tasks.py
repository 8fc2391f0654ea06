import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from keras_dl.data import Description, adding_problem, describe, load
from keras_dl.metrics import lenet_outputs
from keras_dl.models import VAE, ConditionalGAN, LanguageModel, SequenceRegressor
from keras_dl.recipes import (
    ADVERSARIAL,
    CONDITIONAL_ADVERSARIAL,
    NEXT_CHARACTER,
    REGRESSION,
    Splits,
    latent_images,
)
from keras_dl.recipes.tasks import image_quality


def splits(batches, description=None):
    description = description or Description("made", {}, image_shape=(8, 8, 1))
    return Splits(batches, batches, batches, description, lambda: batches)


def shown(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def test_images_come_out_of_batches_with_and_without_labels():
    x = np.random.default_rng(0).random((10, 2, 2, 1), dtype=np.float32)
    np.testing.assert_array_equal(
        image_quality.images_of(load(x, batch_size=3, labels=False, shuffle=False)), x
    )
    pairs = load((x, np.arange(10) % 2), batch_size=3, shuffle=False)
    np.testing.assert_array_equal(image_quality.images_of(pairs, 4), x[:4])


def test_many_images_are_generated_by_few_calls_of_different_seeds():
    calls = []

    def generate(count, seed):
        calls.append((count, seed))
        return np.full((count, 1, 1, 1), seed)

    assert image_quality.generate_many(generate, 1200).ravel().tolist() == [0] * 500 + [1] * 500 + [2] * 200
    assert calls == [(500, 0), (500, 1), (200, 2)]


def test_the_nll_of_a_vae_lies_below_its_negative_elbo():
    model = VAE(2, (8, 8, 1), filters=(4,), units=(8,))
    model.compile("adam")
    x = load("digits", "validation", 64, labels=False)
    model.fit(x, epochs=3, verbose=0, shuffle=False)
    figures = latent_images(nll_samples=64, nll_images=180).evaluate(model, splits(x)).figures
    assert figures["test_nll"] < -figures["test_elbo"] + 0.05
    assert (figures["nll_samples"], figures["nll_images"]) == (64, 180)
    assert figures["test_elbo"] == pytest.approx(
        -(figures["test_reconstruction"] + figures["test_kl"]), rel=1e-5
    )
    assert "fld" not in figures  # nothing that judges images of this size


def test_a_perfect_generator_is_at_the_floor_and_a_forgetful_one_is_found_out():
    """Stands for MNIST: the digits at MNIST's size, of which a model gives back the training images."""
    train, test = load("digits", ("train", "test"), 500, image_size=28, labels=False, shuffle=False)
    real = image_quality.images_of(train)
    description = Description("mnist", {}, image_shape=(28, 28, 1))
    data = Splits(train, train, test, description, lambda: train)
    perfect = image_quality.quality(lambda count, seed: real[:count], data)
    assert perfect.fld.value == pytest.approx(perfect.fld.floor)
    assert perfect.num_images == 359
    zeros = real[lenet_outputs(real).classes == 0]
    forgetful = image_quality.quality(lambda count, seed: zeros[np.arange(count) % len(zeros)], data)
    assert forgetful.fld.value > 5 * forgetful.fld.floor
    assert forgetful.classes.covered == 1


def test_class_agreement_is_the_share_of_asked_classes_that_a_classifier_sees():
    train, test = load("digits", ("train", "test"), 500, image_size=28, labels=False, shuffle=False)
    real = image_quality.images_of(train)
    classes = lenet_outputs(real).classes
    first = np.array([np.flatnonzero(classes == label)[0] for label in range(10)])
    confused = first.copy()
    confused[[3, 8]] = first[[8, 3]]  # 3 asked, 8 given, and the other way round

    class Fake:
        num_classes = 10

        def evaluate(self, *args, **kwargs):
            return {"generator_loss": 1.0}

        def generate(self, count, seed):
            return real[confused[np.arange(count) % 10]]

    description = Description("mnist", {}, image_shape=(28, 28, 1))
    figures = CONDITIONAL_ADVERSARIAL.evaluate(
        Fake(), Splits(train, train, test, description, lambda: train)
    ).figures
    assert figures["class_agreement"] == pytest.approx(0.8)
    assert figures["classes_covered"] == 10
    assert figures["fld_over_floor"] == pytest.approx(figures["fld"] / figures["fld_floor"])


def test_a_conditional_gan_is_drawn_with_a_class_a_column():
    model = ConditionalGAN(3, (8, 8, 1), latent_dim=4, filters=(4,))
    pixels = shown(CONDITIONAL_ADVERSARIAL.draw(model, 6, 1))
    drawn = np.asarray(model.generate(6, label=np.array([0, 1, 2, 0, 1, 2]), seed=1))[..., 0]
    np.testing.assert_allclose(pixels[:8, :8], drawn[0], atol=1e-6)
    np.testing.assert_allclose(pixels[9:, 18:], drawn[5], atol=1e-6)


def test_interpolations_begin_and_end_at_generated_images():
    model = ConditionalGAN(3, (8, 8, 1), latent_dim=4, filters=(4,))
    pixels = shown(ADVERSARIAL.pictures(None)["interpolation"](model))
    z = np.asarray(model.sample_prior(12, seed=1))
    ends = np.asarray(model.generate(z=z[[0, 6]], label=0))[..., 0]
    np.testing.assert_allclose(pixels[:8, :8], ends[0], atol=1e-5)
    np.testing.assert_allclose(pixels[:8, -8:], ends[1], atol=1e-5)


def test_a_text_is_measured_whole(tmp_path):
    text = "the quick brown fox jumps over the lazy dog. " * 8
    path = tmp_path / "text.txt"
    path.write_text(text)
    model = LanguageModel(describe(path).vocabulary, "gru", 8)
    batches = load(path, "train", 2, sequence_length=20, shuffle=False)
    figures = NEXT_CHARACTER.evaluate(model, splits(batches)).figures
    windows = (len(text) - 1) // 20
    states, total = model.initial_states(1), 0.0
    ids = model.encode(text[: windows * 20])
    for token, following in itertools.pairwise(ids):
        logits, states = model.step(np.array([token]), states)
        total -= float(tf.nn.log_softmax(logits)[0, following])
    assert figures["test_nats_per_character"] == pytest.approx(total / (len(ids) - 1), rel=1e-5)
    assert figures["validation_nats_per_character"] == figures["test_nats_per_character"]
    assert figures["test_bits_per_character"] == pytest.approx(total / (len(ids) - 1) / math.log(2), rel=1e-5)


def test_a_text_is_drawn_as_it_was_generated():
    model = LanguageModel("\nab$", "gru", 8)
    figure = NEXT_CHARACTER.draw(model, 30, 3)
    (page,) = figure.axes[0].texts
    assert page.get_text() == model.generate("\n", 30, temperature=0.8, seed=3).strip("\n")
    assert not page.get_parse_math()  # a dollar is a dollar


def test_the_error_of_numbers_stands_beside_chance():
    batches = adding_problem("test", 100, length=10, num_examples=500)
    model = SequenceRegressor("rnn", 4)
    outcome = REGRESSION.evaluate(model, splits(batches))
    x, y = (np.concatenate(parts) for parts in zip(*batches.as_numpy_iterator(), strict=True))
    np.testing.assert_allclose(y[:, 0], (x[..., 0] * x[..., 1]).sum(axis=1), rtol=1e-6)
    assert outcome.figures["test_mse"] == pytest.approx(
        float(((np.asarray(model(x)) - y) ** 2).mean()), rel=1e-5
    )
    assert outcome.figures["chance_mse"] == pytest.approx(1 / 6, rel=0.15)
    points = outcome.pictures["answers"].axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(np.asarray(points)[:, 0], y[:, 0], rtol=1e-6)
