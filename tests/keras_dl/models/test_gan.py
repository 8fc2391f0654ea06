"""The adversarial game: who moves when, and what is left of it on disk."""

from __future__ import annotations

import itertools
import json
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

from keras_dl import load_model
from keras_dl.layers import stateless_noise
from keras_dl.models import GAN
from keras_dl.models.adversarial_losses import ADVERSARIAL_LOSSES

Z, SHAPE, B = 3, (4, 4, 1), 8
IMAGES = np.random.default_rng(0).random((4 * B, *SHAPE)).astype("float32")


def networks(regularizer=None, dtype=None):
    """Both players, with weights and statistics."""
    dense = keras.layers.Dense
    generator = [
        keras.Input((Z,)),
        dense(12, kernel_regularizer=regularizer, dtype=dtype),
        keras.layers.BatchNormalization(dtype=dtype),
        keras.layers.ReLU(dtype=dtype),
        dense(16, "sigmoid", dtype="float32"),
        keras.layers.Reshape(SHAPE, dtype="float32"),
    ]
    discriminator = [
        keras.Input(SHAPE),
        keras.layers.Flatten(dtype=dtype),
        dense(12, kernel_regularizer=regularizer, dtype=dtype),
        keras.layers.BatchNormalization(dtype=dtype),
        keras.layers.LeakyReLU(0.2, dtype=dtype),
        dense(1, dtype="float32"),
    ]
    return keras.Sequential(generator), keras.Sequential(discriminator)


def make(loss="non_saturating", *, optimizers=None, seed=1, **kwargs):
    keras.utils.set_random_seed(seed)
    gan = GAN(*networks(), loss, seed=seed, **kwargs)
    first, second = optimizers or (keras.optimizers.Adam(0.01, beta_1=0.5), keras.optimizers.Adam(0.02))
    gan.compile(generator_optimizer=first, discriminator_optimizer=second)
    return gan


def bits(*variables):
    return [variable.numpy().tobytes() for variable in variables]


def everything(gan):
    """All that training changes but the metrics' counts."""
    return bits(
        *gan.generator.variables,
        *gan.discriminator.variables,
        *gan.averages,
        *gan.generator_optimizer.variables,
        *gan.discriminator_optimizer.variables,
    )


def dataset(images=IMAGES):
    return tf.data.Dataset.from_tensor_slices(images).batch(B)


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


def test_regularisers_of_the_networks_count():
    """Ridge: its gradient adds 2 lambda w to the others', 2 rate lambda w to the step."""

    def regularised(gan):
        return (gan.generator, 0), (gan.discriminator, 1)

    rate, strength = 0.5, 0.1
    stepped = {}
    for regularizer in (None, keras.regularizers.L2(strength)):
        keras.utils.set_random_seed(0)
        gan = GAN(*networks(regularizer=regularizer))
        gan.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))
        before = [player.layers[index].kernel.numpy() for player, index in regularised(gan)]
        gan.train_step(tf.constant(IMAGES[:B]))
        stepped[regularizer is None] = [
            player.layers[index].kernel.numpy() for player, index in regularised(gan)
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
    logits = np.asarray(gan.discriminate(gan.generate(z)))
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


# What survives.


@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein"])
def test_save_load_and_continue_equals_the_uninterrupted_training_bit_by_bit(loss, tmp_path):
    whole = make(loss, ema_momentum=0.9, discriminator_steps=2)
    whole.fit(dataset(), epochs=3, verbose=0)
    first = make(loss, ema_momentum=0.9, discriminator_steps=2)
    first.fit(dataset(), epochs=1, verbose=0)
    first.save(tmp_path / "gan.keras")
    keras.utils.set_random_seed(99)
    second = load_model(tmp_path / "gan.keras")
    assert everything(second) == everything(first)
    second.fit(dataset(), epochs=2, verbose=0)
    assert everything(second) == everything(whole)


def test_backup_and_restore_goes_on_with_both_optimizers(tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    whole = make()
    whole.fit(dataset(), epochs=4, verbose=0)
    with pytest.raises(KeyboardInterrupt):
        make().fit(
            dataset(),
            epochs=4,
            callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup"), Interrupt()],
            verbose=0,
        )
    resumed = make(seed=1)
    resumed.fit(
        dataset(), epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup")], verbose=0
    )
    assert everything(resumed) == everything(whole)


def test_compile_arguments_come_back(tmp_path):
    gan = make("least_squares", prior="normal", label_smoothing=0.1, discriminator_steps=2)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    gan.compile(keras.optimizers.RMSprop(schedule), "sgd", steps_per_execution=2, run_eagerly=False)
    gan.save(tmp_path / "gan.keras")
    again = load_model(tmp_path / "gan.keras")
    assert json.dumps(again.get_config()) == json.dumps(gan.get_config())
    assert json.dumps(again.get_compile_config()) == json.dumps(gan.get_compile_config())
    assert again.steps_per_execution == 2
    assert isinstance(again.generator_optimizer, keras.optimizers.RMSprop)
    uncompiled = load_model(tmp_path / "gan.keras", compile=False)
    assert not uncompiled.compiled
    np.testing.assert_array_equal(uncompiled.generate(2), gan.generate(2))


# Precision.


def test_loss_scaling_leaves_the_step_as_it_is():
    plain = make(optimizers=(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)))
    scaling = keras.optimizers.LossScaleOptimizer
    scaled = make(optimizers=(scaling(keras.optimizers.SGD(0.1)), scaling(keras.optimizers.SGD(0.1))))
    for gan in (plain, scaled):
        gan.fit(dataset(), verbose=0)
    for ours, theirs in zip(scaled.variables, plain.variables, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_float16_players_get_a_loss_scale_each_and_a_step_that_overflows_is_skipped(tmp_path):
    keras.utils.set_random_seed(0)
    gan = GAN(*networks(dtype="mixed_float16"), "wasserstein")
    gan.compile("sgd", "sgd")
    scales = [gan.generator_optimizer, gan.discriminator_optimizer]
    assert all(isinstance(optimizer, keras.optimizers.LossScaleOptimizer) for optimizer in scales)
    gan.fit(dataset(), epochs=2, verbose=0)
    assert gan.discriminate(IMAGES[:2]).dtype == gan.generate(2).dtype == "float32"
    assert all(np.isfinite(weight).all() for weight in gan.weights)
    gan.discriminator_optimizer.dynamic_scale.assign(1e30)
    before = bits(*gan.discriminator.trainable_weights)
    gan.fit(dataset(IMAGES[:B]), verbose=0)
    assert bits(*gan.discriminator.trainable_weights) == before
    assert gan.discriminator_optimizer.dynamic_scale < 1e30
    gan.save(tmp_path / "gan.keras")
    again = load_model(tmp_path / "gan.keras")
    assert again.discriminator_optimizer.dynamic_scale == gan.discriminator_optimizer.dynamic_scale
    gan.compile("sgd", "sgd", auto_scale_loss=False)
    assert isinstance(gan.generator_optimizer, keras.optimizers.SGD)


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
    averaged, live = np.asarray(gan.generate(z)), np.asarray(gan.generator(z))
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
    np.testing.assert_array_equal(images, gan.generate(gan.sample_prior(6, seed=3)))
    assert not np.array_equal(images, gan.generate(6, seed=4))
    np.testing.assert_array_equal(images[:2], gan.generate(2, seed=3))


def test_interpolation_and_arithmetic_are_of_latents():
    gan = make()
    a, b, c = np.asarray(gan.sample_prior(6)).reshape(3, 2, Z)
    line = np.asarray(gan.interpolate(a, b, steps=5))
    assert line.shape == (2, 5, *SHAPE)
    for step, share in enumerate([0, 0.25, 0.5, 0.75, 1]):
        np.testing.assert_allclose(line[:, step], gan.generate((1 - share) * a + share * b), atol=1e-6)
    np.testing.assert_allclose(gan.arithmetic(a, b, c), gan.generate(a - b + c), atol=1e-6)
    mean = [latents.mean(axis=0) for latents in (a, b, c)]
    np.testing.assert_allclose(
        gan.arithmetic(*mean), gan.generate((mean[0] - mean[1] + mean[2])[None]), atol=1e-6
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
    np.testing.assert_array_equal(image, gan.generate(z))
    logits = endpoints["discriminate"].function(image=image)["logits"]
    np.testing.assert_array_equal(logits, gan.discriminator(image))
    assert logits.shape == (3, 1)


# What goes wrong.


def test_networks_that_do_not_fit_are_refused():
    generator, discriminator = networks()
    other = keras.Sequential([keras.Input((5, 5, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    with pytest.raises(
        ValueError, match=r"got outputs of shape \(None, 4, 4, 1\).*\(None, 5, 5, 1\).*Change"
    ):
        GAN(generator, other)
    two = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"discriminator: expected one logit.*got \(None, 2\).*Dense\(1\)"):
        GAN(generator, two)
    with pytest.raises(
        ValueError, match=r"generator: expected latents of shape \(batch, Z\).*\(None, 4, 4, 1\)"
    ):
        GAN(discriminator, generator)
    with pytest.raises(ValueError, match=r"generator: expected a built keras.Sequential.*keras.Input"):
        GAN(keras.Sequential([keras.layers.Dense(16), keras.layers.Reshape(SHAPE)]), discriminator)
    with pytest.raises(ValueError, match="generator: expected a built keras.Sequential.*got 'dcgan'"):
        GAN("dcgan", discriminator)
    z, label = keras.Input((Z,)), keras.Input((1,))
    told = keras.Model([z, label], generator(keras.layers.Concatenate()([z, label])[:, :Z]))
    with pytest.raises(ValueError, match="generator: expected 1 input, got 2.*ConditionalGAN"):
        GAN(told, discriminator)


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"loss": "nonsaturating"}, "loss: expected 'minimax' or 'non_saturating' or .*got 'nonsaturating'"),
        ({"prior": "cauchy"}, "prior: expected 'uniform' or 'normal', got 'cauchy'"),
        ({"discriminator_steps": 0}, "discriminator_steps: expected an int of at least 1, got 0"),
        ({"label_smoothing": 1.5}, "label_smoothing: expected a share"),
        (
            {"loss": "hinge", "label_smoothing": 0.1},
            "label_smoothing: expected 0 with loss='hinge'.*Leave it out",
        ),
        ({"gradient_penalty": -1.0}, "gradient_penalty: expected None or a weight of at least 0, got -1.0"),
        ({"ema_momentum": 1.0}, "ema_momentum: expected a share"),
    ],
)
def test_arguments_out_of_range_are_refused(kwargs, text):
    with pytest.raises(ValueError, match=text):
        GAN(*networks(), **kwargs)


def test_compile_without_two_optimizers_is_refused():
    gan = GAN(*networks())
    with pytest.raises(
        ValueError, match="discriminator_optimizer: expected an optimizer, got None.*one each"
    ):
        gan.compile(generator_optimizer="adam")
    with pytest.raises(ValueError, match="generator_optimizer: expected an optimizer, got None"):
        gan.compile(discriminator_optimizer="adam")
    with pytest.raises(
        ValueError, match="optimizer: expected none, because a GAN has an optimizer for each player"
    ):
        gan.compile(optimizer="adam")
    with pytest.raises(ValueError, match="loss: expected none.*its constructor names"):
        gan.compile("adam", "adam", loss="mse")
    shared = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="got the same.*make two"):
        gan.compile(shared, shared)


def test_bad_batches_are_refused_before_they_train():
    gan = make()
    before = everything(gan)
    for images, text in [
        (
            IMAGES * 255,
            "image: expected values from 0 to 1, got values from .* Divide raw 8-bit images by 255",
        ),
        (np.full_like(IMAGES, np.nan), "image: expected values from 0 to 1"),
    ]:
        with pytest.raises(ValueError, match=text):
            gan.fit(images, batch_size=B, verbose=0)
        with pytest.raises(ValueError, match=text):
            gan.evaluate(images, batch_size=B, verbose=0)
    with pytest.raises(ValueError, match=r"image: expected shape \(batch, 4, 4, 1\), got \(\w+, 3, 4, 1\)"):
        make().fit(IMAGES[:, :3], batch_size=B, verbose=0)
    with pytest.raises(ValueError, match="sample_weight: expected none"):
        gan.fit(IMAGES, np.zeros(len(IMAGES)), sample_weight=np.ones(len(IMAGES)), verbose=0)
    with pytest.raises(ValueError, match=r"z: expected shape \(batch, 3\), got \(2, 4\)"):
        gan.generate(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="steps: expected an int of at least 2, got 1"):
        gan.interpolate(np.zeros((1, Z)), np.zeros((1, Z)), steps=1)
    assert everything(gan) == before


def test_replicas_train_together_as_one_device_does():
    # Devices can only be split before TensorFlow starts, hence the process of its own. Without batch
    # normalisation, whose statistics are of each replica's share.
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
