"""The conditional GAN: both players receive the class."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import load_model
from keras_dl.models import ConditionalGAN

K, SHAPE, B = 3, (8, 8, 1), 6
RNG = np.random.default_rng(0)
IMAGES = RNG.random((2 * B, *SHAPE)).astype("float32")
LABELS = (np.arange(2 * B) % K).astype("int64")


def make(**kwargs):
    keras.utils.set_random_seed(0)
    gan = ConditionalGAN(K, SHAPE, latent_dim=5, filters=(4, 8), **kwargs)
    gan.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), keras.optimizers.Adam(1e-3, beta_1=0.5))
    return gan


def test_both_players_depend_on_the_class():
    gan = make()
    z = gan.sample_prior(4)
    by_class = [np.asarray(gan.generate(z=z, label=label)) for label in range(K)]
    logits = [np.asarray(gan.discriminate((IMAGES[:4], np.full(4, label)))) for label in range(K)]
    for values in (by_class, logits):
        assert len({value.tobytes() for value in values}) == K


def test_the_players_learn_the_appearance_of_each_class():
    """Class k is an even gray of k / 2."""
    gan = make()
    labels = np.arange(16 * 150) % K
    images = np.broadcast_to((labels / 2)[:, None, None, None], (len(labels), *SHAPE)).astype("float32")
    gan.compile(keras.optimizers.Adam(0.01, beta_1=0.5), keras.optimizers.Adam(0.01, beta_1=0.5))
    gan.fit(images, labels, batch_size=16, verbose=0)
    levels = [np.asarray(gan.generate(50, label=label)).mean() for label in range(K)]
    np.testing.assert_allclose(levels, [0, 0.5, 1], atol=0.1)
    right = np.asarray(gan.discriminate((images[:K], np.arange(K))))
    wrong = np.asarray(gan.discriminate((images[:K], (np.arange(K) + 1) % K)))
    assert (right > wrong).all()


def test_generated_images_have_the_classes_of_the_batch():
    gan = make()
    labels = []
    generator = gan.generator
    gan._generated = lambda inputs, training: (
        labels.append(inputs[1]),
        generator(inputs, training=training),
    )[1]
    gan.train_step((tf.constant(IMAGES), tf.constant(LABELS)))
    np.testing.assert_array_equal(labels[0], LABELS)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_labels_of_every_integer_kind_are_the_same(dtype, shape):
    gan, twin = make(), make()
    gan.fit(IMAGES, LABELS.astype(dtype).reshape(shape), shuffle=False, batch_size=B, verbose=0)
    twin.fit(IMAGES, LABELS, shuffle=False, batch_size=B, verbose=0)
    for ours, theirs in zip(gan.weights, twin.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_generate_draws_omitted_arguments():
    gan = make()
    z = gan.sample_prior(K, seed=2)
    expected = np.asarray(gan((z, np.arange(K))))
    np.testing.assert_array_equal(gan.generate(seed=2), expected)
    np.testing.assert_array_equal(gan.generate(K, seed=2), expected)
    np.testing.assert_array_equal(gan.generate(z=z), expected)
    np.testing.assert_array_equal(gan.generate(label=[0, 1, 2], seed=2), expected)
    np.testing.assert_allclose(gan.generate(K, label=1, seed=2)[1], expected[1], atol=1e-6)
    np.testing.assert_allclose(gan.predict([z, np.arange(K)], verbose=0), expected, atol=1e-6)


def test_interpolation_and_arithmetic_stay_in_a_class():
    gan = make()
    a, b, c = np.asarray(gan.sample_prior(6)).reshape(3, 2, 5)
    line = np.asarray(gan.interpolate(a, b, steps=3, label=[2, 0]))
    assert line.shape == (2, 3, *SHAPE)
    np.testing.assert_allclose(line[:, 1], gan.generate(z=(a + b) / 2, label=[2, 0]), atol=1e-6)
    np.testing.assert_allclose(
        gan.arithmetic(a, b, c, label=1), gan.generate(z=a - b + c, label=[1, 1]), atol=1e-6
    )


def test_endpoints_accept_the_class():
    gan = make()
    endpoints = gan.endpoints()
    assert {
        name: {key: spec.dtype for key, spec in endpoint.inputs.items()}
        for name, endpoint in endpoints.items()
    } == {
        "serving_default": {"z": "float32", "label": "int32"},
        "discriminate": {"image": "float32", "label": "int32"},
    }
    z, label = gan.sample_prior(B), LABELS[:B].astype("int32")
    image = endpoints["serving_default"].function(z=z, label=label)["image"]
    np.testing.assert_array_equal(image, gan.generate(z=z, label=label))
    logits = endpoints["discriminate"].function(image=image, label=label)["logits"]
    np.testing.assert_array_equal(logits, gan.discriminator([np.asarray(image), label]))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["hinge", "wasserstein"])
def test_save_load_and_continue_equals_the_uninterrupted_training_bit_by_bit(loss, tmp_path):
    def fit(gan, epochs):
        gan.fit(IMAGES, LABELS, batch_size=B, shuffle=False, epochs=epochs, verbose=0)

    whole, first = make(loss=loss, ema_momentum=0.9), make(loss=loss, ema_momentum=0.9)
    fit(whole, 2)
    fit(first, 1)
    first.save(tmp_path / "gan.keras")
    second = load_model(tmp_path / "gan.keras")
    assert type(second) is ConditionalGAN
    fit(second, 1)
    for ours, theirs in zip(
        [*second.weights, *second.generator_optimizer.variables, *second.discriminator_optimizer.variables],
        [*whole.weights, *whole.generator_optimizer.variables, *whole.discriminator_optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_evaluation_reports_both_losses_and_validation_works():
    gan = make()
    history = gan.fit(IMAGES, LABELS, validation_data=(IMAGES, LABELS), verbose=0).history
    assert {"val_generator_loss", "val_discriminator_loss"} < set(history)
    weights = [weight.numpy() for weight in gan.weights]
    gan.evaluate(IMAGES, LABELS, verbose=0)
    for weight, before in zip(gan.weights, weights, strict=True):
        np.testing.assert_array_equal(weight, before)


def test_bad_labels_are_refused():
    gan = make()
    with pytest.raises(ValueError, match="label: expected inputs and labels, got only inputs.*pairs"):
        gan.fit(IMAGES, verbose=0)
    with pytest.raises(ValueError, match="label: expected classes from 0 to 2, got 1 to 3"):
        gan.fit(IMAGES, LABELS + 1, verbose=0)
    with pytest.raises(ValueError, match="label: expected classes from 0 to 2, got -1 to 1"):
        gan.evaluate(IMAGES, LABELS - 1, verbose=0)
    with pytest.raises(ValueError, match=r"label: expected classes of shape \(batch,\), got float32.*argmax"):
        gan.fit(IMAGES, np.eye(K, dtype="float32")[LABELS], verbose=0)
    with pytest.raises(ValueError, match=r"label: expected classes.*got int64 of shape \(None, 3\)"):
        make().fit(IMAGES, np.eye(K, dtype="int64")[LABELS], verbose=0)
    with pytest.raises(ValueError, match="label: expected classes from 0 to 2, got 0 to 9"):
        gan.predict([np.zeros((2, gan.latent_dim), "float32"), np.array([0, 9])], verbose=0)
    with pytest.raises(ValueError, match="label: expected classes from 0 to 2, got 3"):
        gan.generate(2, label=3)
    with pytest.raises(ValueError, match="label: expected classes from 0 to 2, got 0.5"):
        gan.generate(2, label=0.5)
    with pytest.raises(
        ValueError, match=r"label: expected one class, or 2, one per latent, got shape \(3,\)"
    ):
        gan.generate(2, label=[0, 1, 2])
    with pytest.raises(ValueError, match="num_classes: expected an int of at least 2, got 1"):
        ConditionalGAN(1)
