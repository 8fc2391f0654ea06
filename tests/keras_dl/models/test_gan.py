"""The adversarial game: the order of the updates, the reported figures, and the samplers."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import textwrap
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl.layers import stateless_noise
from keras_dl.models import GAN
from keras_dl.models.gan.adversarial_losses import ADVERSARIAL_LOSSES
from tests._support.toy_gan import IMAGES, SHAPE, B, Z, bits, dataset, everything, make, networks

# Whose turn it is.


@pytest.mark.parametrize("loss", ["minimax", "wasserstein"])
@pytest.mark.parametrize("turns", [1, 3])
def test_the_resting_player_keeps_the_bits_of_its_weights_and_statistics(monkeypatch, loss, turns):
    gan = make(loss, discriminator_steps=turns, optimizers=("sgd", "sgd"))
    timeline = []

    def look():
        timeline.append((bits(*gan.generator.variables), bits(*gan.discriminator.variables)))

    turn = gan._train_discriminator

    def watched(*args, **kwargs):
        look()
        losses = turn(*args, **kwargs)
        look()
        return losses

    monkeypatch.setattr(gan, "_train_discriminator", watched)
    look()
    gan.train_step(tf.constant(IMAGES[:B]))
    look()
    start, *turns_seen, end = timeline
    assert len(turns_seen) == 2 * turns
    for before, after in zip(turns_seen[::2], turns_seen[1::2], strict=True):
        assert before[0] == after[0]  # the generator rests
        kept = sum(old == new for old, new in zip(before[1], after[1], strict=True))
        assert kept == (loss == "wasserstein")  # the critic's last bias pays for real what it gains from fake
    for after, before in itertools.pairwise([start, *turns_seen, end]):
        if after not in turns_seen[::2]:
            assert after[1] == before[1]  # between its turns the discriminator rests
    for before_last_turn in turns_seen[: 2 * turns - 2]:
        assert before_last_turn[0] == start[0]  # the generator has one turn, the last
    assert all(old != new for old, new in zip(start[0], end[0], strict=True))


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES)
def test_one_pass_of_the_generator_gives_the_weights_of_two_passes(loss):
    """The same step written as two passes, with the losses' own formulas and gradient descent by hand."""
    rate = 0.1
    gan = make(loss, optimizers=(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate)), gradient_penalty=0)
    twin = make(loss, gradient_penalty=0)
    image = tf.constant(IMAGES[:B])
    z = stateless_noise(B, (Z,), seed=1, step=0, distribution="uniform", minval=-1.0, maxval=1.0)
    game = ADVERSARIAL_LOSSES[loss]
    generator, discriminator = twin.generator, twin.discriminator

    def descend(tape, loss, weights):
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign(weight - rate * gradient)

    with keras.StatelessScope():
        fake = generator(z, training=True)
    with tf.GradientTape() as tape:
        cost = game.real(discriminator(image, training=True), 0.0) + game.fake(
            discriminator(fake, training=True)
        )
        cost = tf.reduce_mean(cost)
    descend(tape, cost, discriminator.trainable_weights)
    with tf.GradientTape() as tape:
        fake = generator(z, training=True)
        with keras.StatelessScope():
            logits = discriminator(fake, training=True)
        cost = tf.reduce_mean(game.generator(logits))
    descend(tape, cost, generator.trainable_weights)

    gan.train_step(image)
    for player in ("generator", "discriminator"):
        for ours, theirs in zip(getattr(gan, player).weights, getattr(twin, player).weights, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7, err_msg=ours.path)


def test_every_turn_of_the_discriminator_has_its_own_noise():
    gan = make(discriminator_steps=3)
    seen = []
    generate = gan._generated
    gan._generated = lambda z, training: (seen.append(np.array(z)), generate(z, training))[1]
    gan.train_step(tf.constant(IMAGES[:B]))
    gan.train_step(tf.constant(IMAGES[:B]))
    assert len(seen) == 6
    assert len({latents.tobytes() for latents in seen}) == 6
    assert gan.discriminator_optimizer.iterations == 6
    assert gan.generator_optimizer.iterations == 2


def test_the_generator_learns_where_the_data_are():
    """Data that are no images: numbers around 3, from a generator that starts around 0."""
    keras.utils.set_random_seed(0)
    generator = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    discriminator = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)]
    )
    gan = GAN(generator, discriminator, prior="normal")
    adam = keras.optimizers.Adam
    gan.compile(adam(0.02, beta_1=0.5), adam(0.02, beta_1=0.5))
    data = np.random.default_rng(0).normal(3.0, 0.5, (128, 1)).astype("float32")
    gan.fit(tf.data.Dataset.from_tensors(data).repeat(400), epochs=1, verbose=0)
    made = np.asarray(gan.generate(2000))
    assert made.mean() == pytest.approx(3.0, abs=0.4)


def test_regularizers_of_the_networks_count():
    """Ridge: its gradient adds 2 lambda w to the others', 2 rate lambda w to the step."""

    def regularized(gan):
        return (gan.generator, 0), (gan.discriminator, 1)

    rate, strength = 0.5, 0.1
    stepped = {}
    for regularizer in (None, keras.regularizers.L2(strength)):
        keras.utils.set_random_seed(0)
        gan = GAN(*networks(regularizer=regularizer))
        gan.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))
        before = [player.layers[index].kernel.numpy() for player, index in regularized(gan)]
        gan.train_step(tf.constant(IMAGES[:B]))
        stepped[regularizer is None] = [
            player.layers[index].kernel.numpy() for player, index in regularized(gan)
        ]
    discriminator_step = stepped[True][1] - stepped[False][1]
    np.testing.assert_allclose(discriminator_step, 2 * rate * strength * before[1], atol=1e-6)
    assert not np.array_equal(stepped[True][0], stepped[False][0])


# What it reports.


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES)
def test_evaluation_reports_both_losses_and_changes_nothing(loss):
    gan = make(loss)
    gan.fit(dataset(), verbose=0)
    before = everything(gan)
    report = gan.evaluate(dataset(), return_dict=True, verbose=0)
    assert everything(gan) == before
    assert report == gan.evaluate(dataset(), return_dict=True, verbose=0)
    other_batches = gan.evaluate(IMAGES, batch_size=3 * B, return_dict=True, verbose=0)
    assert other_batches == pytest.approx(report, rel=1e-4)  # noise by the place in the data
    z = stateless_noise(
        4 * B, (Z,), seed=1, step=0, stream=2, distribution="uniform", minval=-1.0, maxval=1.0
    )
    logits = np.asarray(gan.discriminate(gan.generate(z=z)))
    assert report["generator_loss"] == pytest.approx(
        float(np.mean(ADVERSARIAL_LOSSES[loss].generator(logits))), rel=1e-4
    )
    if loss != "wasserstein":
        game = ADVERSARIAL_LOSSES[loss]
        cost = np.mean(game.real(np.asarray(gan.discriminate(IMAGES)), 0.0)) + np.mean(game.fake(logits))
        assert report["discriminator_loss"] == pytest.approx(float(cost), rel=1e-4)


def test_fit_reports_validation_and_ignores_labels():
    gan = make()
    history = gan.fit(
        IMAGES,
        np.zeros(len(IMAGES)),
        batch_size=B,
        validation_data=(IMAGES, np.zeros(len(IMAGES))),
        verbose=0,
    ).history
    assert set(history) == {
        f"{split}{player}_loss" for split in ("", "val_") for player in ("generator", "discriminator")
    }


def test_a_data_set_s_own_order_draws_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        make().fit(dataset(IMAGES[:B]), verbose=0)


# Use.


def test_moving_averages_follow_their_recursion_and_are_what_generates():
    m = 0.7
    gan = make(ema_momentum=m)
    expected = [weight.numpy() for weight in gan.generator.weights]
    for t in range(1, 13):
        gan.train_step(tf.constant(IMAGES[:B]))
        now = min(m, t / (t + 10))
        expected = [
            now * average + (1 - now) * weight.numpy()
            for average, weight in zip(expected, gan.generator.weights, strict=True)
        ]
    for average, value in zip(gan.averages, expected, strict=True):
        np.testing.assert_allclose(average, value, atol=1e-6)
    z = gan.sample_prior(5)
    averaged, live = np.asarray(gan.generate(z=z)), np.asarray(gan.generator(z))
    assert np.abs(averaged - live).max() > 1e-3
    np.testing.assert_allclose(averaged, gan.predict(z, verbose=0), atol=1e-6)
    gan.generator.set_weights(expected)
    np.testing.assert_allclose(gan.generator(z), averaged, atol=1e-6)


def test_priors():
    uniform = np.asarray(make().sample_prior(20_000))
    assert uniform.min() >= -1
    assert uniform.max() < 1
    np.testing.assert_allclose(uniform.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(uniform.var(axis=0), 1 / 3, atol=0.01)
    normal = np.asarray(make(prior="normal").sample_prior(20_000))
    np.testing.assert_allclose(normal.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(normal.var(axis=0), 1, atol=0.04)


def test_generate_takes_latents_or_their_number():
    gan = make()
    images = gan.generate(6, seed=3)
    assert images.shape == (6, *SHAPE)
    np.testing.assert_array_equal(images, gan.generate(6, seed=3))
    np.testing.assert_array_equal(images, gan.generate(z=gan.sample_prior(6, seed=3)))
    assert not np.array_equal(images, gan.generate(6, seed=4))
    np.testing.assert_array_equal(images[:2], gan.generate(2, seed=3))


def test_interpolation_and_arithmetic_are_of_latents():
    gan = make()
    a, b, c = np.asarray(gan.sample_prior(6)).reshape(3, 2, Z)
    line = np.asarray(gan.interpolate(a, b, steps=5))
    assert line.shape == (2, 5, *SHAPE)
    for step, share in enumerate([0, 0.25, 0.5, 0.75, 1]):
        np.testing.assert_allclose(line[:, step], gan.generate(z=(1 - share) * a + share * b), atol=1e-6)
    np.testing.assert_allclose(gan.arithmetic(a, b, c), gan.generate(z=a - b + c), atol=1e-6)
    mean = [latents.mean(axis=0) for latents in (a, b, c)]
    np.testing.assert_allclose(
        gan.arithmetic(*mean), gan.generate(z=(mean[0] - mean[1] + mean[2])[None]), atol=1e-6
    )


def test_endpoints_generate_and_discriminate():
    gan = make(ema_momentum=0.5)
    endpoints = gan.endpoints()
    z = gan.sample_prior(3)
    assert {name: list(endpoint.inputs) for name, endpoint in endpoints.items()} == {
        "serving_default": ["z"],
        "discriminate": ["image"],
    }
    image = endpoints["serving_default"].function(z=z)["image"]
    np.testing.assert_array_equal(image, gan.generate(z=z))
    logits = endpoints["discriminate"].function(image=image)["logits"]
    np.testing.assert_array_equal(logits, gan.discriminator(image))
    assert logits.shape == (3, 1)


@pytest.mark.slow
def test_replicas_train_together_as_one_device_does():
    # Devices can only be split before TensorFlow starts, hence the process of its own. Without batch
    # normalization, whose statistics are of each replica's share.
    program = """
        import keras
        import numpy as np
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from keras_dl import load_model
        from keras_dl.models import GAN
        from keras_dl.optimizers import Adam

        dense, flatten, reshape = keras.layers.Dense, keras.layers.Flatten, keras.layers.Reshape

        def make():
            keras.utils.set_random_seed(1)
            generator = keras.Sequential([keras.Input((3,)), dense(16, "sigmoid"), reshape((4, 4, 1))])
            discriminator = keras.Sequential(
                [keras.Input((4, 4, 1)), flatten(), dense(8, "relu"), dense(1)]
            )
            gan = GAN(generator, discriminator, "wasserstein", discriminator_steps=2, ema_momentum=0.9)
            gan.compile(keras.optimizers.SGD(0.01), Adam(0.01, epsilon=0.1))
            return gan

        images = np.random.default_rng(0).random((16, 4, 4, 1), dtype=np.float32)
        data = tf.data.Dataset.from_tensor_slices(images).batch(8)
        one = make()
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            two = make()
        for gan in (one, two):
            gan.fit(data, verbose=0)
        for ours, theirs in zip(two.variables, one.variables):
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5, err_msg=ours.path)
        wanted, got = (gan.evaluate(data, verbose=0, return_dict=True) for gan in (one, two))
        for name in wanted:
            np.testing.assert_allclose(got[name], wanted[name], rtol=1e-3)
        two.save("gan.keras")
        again = load_model("gan.keras")
        for name in ("generator_optimizer", "discriminator_optimizer"):
            for ours, theirs in zip(getattr(again, name).variables, getattr(two, name).variables):
                np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert done.returncode == 0, done.stderr[-3000:]
