"""What is left of a GAN on disk, and what becomes of it in 16 bits."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from keras_dl import load_model
from keras_dl.models import GAN
from tests._support.toy_gan import IMAGES, B, bits, dataset, everything, make, networks

# What survives.


@pytest.mark.slow
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


@pytest.mark.slow
def test_backup_and_restore_resumes_both_optimizers(tmp_path):
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
