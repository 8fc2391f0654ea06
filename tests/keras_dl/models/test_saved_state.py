"""What a saved file holds of a training, and what is refused."""

import warnings

import keras
import numpy as np
import pytest

from keras_dl import load_model
from keras_dl.models import CNN, GAN, MLP, VAE, saved_state
from tests._support.toy_gan import bits, make
from tests._support.toy_gan import everything as all_of

ROWS = np.random.default_rng(0).standard_normal((16, 5)).astype("float32")
CLASSES = np.arange(16) % 3


def noisy_gan():
    keras.utils.set_random_seed(7)
    dense, dropout = keras.layers.Dense, keras.layers.Dropout
    generator = keras.Sequential([keras.Input((3,)), dense(8), dropout(0.5), dense(5)])
    image = keras.Input((5,))
    hidden = keras.layers.Activation("relu")(dense(8)(keras.layers.GaussianNoise(0.5)(image)))
    discriminator = keras.Model(image, dense(1)(dropout(0.5)(hidden)))
    gan = GAN(generator, discriminator)
    gan.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01))
    return gan


def trained_on(gan):
    gan.fit(ROWS, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return gan


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_random_layers_of_a_player_go_on_to_the_same_bits(suffix, tmp_path):
    path = tmp_path / f"gan{suffix}"
    whole = trained_on(trained_on(noisy_gan()))
    half = trained_on(noisy_gan())
    half.save(path) if suffix == ".keras" else half.save_weights(path)
    resumed = noisy_gan() if suffix != ".keras" else None
    keras.utils.set_random_seed(99)
    if resumed is None:
        resumed = load_model(path)
    else:
        resumed.load_weights(path)
    trained_on(resumed)
    assert bits(*resumed.variables) == bits(*whole.variables)
    assert bits(*resumed.optimizer.variables) == bits(*whole.optimizer.variables)


def test_a_file_without_random_states_is_read_as_ever(tmp_path, monkeypatch):
    gan = trained_on(noisy_gan())
    with monkeypatch.context() as patch:
        patch.setattr("keras_dl.models.checked_model.save_seeds", lambda model, store: None)
        gan.save(tmp_path / "gan.keras")
    assert bits(*load_model(tmp_path / "gan.keras").weights) == bits(*gan.weights)


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5", "MODEL.H5"])
def test_the_old_format_is_refused_before_anything_is_written(name, tmp_path):
    for model in (MLP((4,), 3, image_shape=(5,)), CNN(3, (8, 8, 1)), VAE(2, (8, 8, 1)), make()):
        with pytest.raises(ValueError, match=r"^filepath: .*\.keras"):
            model.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_weights_say_once_that_they_hold_no_optimizer(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_state, "_warned", set())
    model = MLP((4,), 3, image_shape=(5,))
    with pytest.warns(UserWarning, match=r"settings of the optimizer.*model\.keras"):
        model.save_weights(tmp_path / "model.weights.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.save_weights(tmp_path / "model.weights.h5")


def test_a_model_compiled_the_same_way_gets_the_state_of_its_optimizer(tmp_path):
    def compiled():
        model = MLP((4,), 3, image_shape=(5,))
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    model, other = compiled(), compiled()
    model.fit(ROWS, CLASSES, verbose=0)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert bits(*other.optimizer.variables) == bits(*model.optimizer.variables)


# Callbacks that act on the optimizer of a model


def fitted(*callbacks, epochs=2, **options):
    gan = make(**options)
    images = np.random.default_rng(0).random((8, 4, 4, 1)).astype("float32")
    gan.fit(images, epochs=epochs, verbose=0, callbacks=list(callbacks), validation_data=(images,))
    return gan


def rates(gan):
    return [
        float(each.learning_rate.numpy()) for each in (gan.generator_optimizer, gan.discriminator_optimizer)
    ]


def test_learning_rates_of_both_players_are_scheduled():
    halving = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    assert rates(fitted(halving)) == pytest.approx([0.01 / 4, 0.02 / 4])
    plateau = keras.callbacks.ReduceLROnPlateau(
        "val_generator_loss", mode="min", factor=0.5, patience=1, min_delta=100
    )
    assert rates(fitted(plateau)) == pytest.approx([0.01 / 2, 0.02 / 2])


def test_the_rate_of_a_scheduled_optimizer_cannot_be_set():
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 10)
    optimizers = keras.optimizers.Adam(schedule), keras.optimizers.Adam(0.01)
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        fitted(keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2), optimizers=optimizers)


def test_averages_of_players_are_used_as_keras_uses_them():
    for callbacks in ([], [keras.callbacks.SwapEMAWeights()]):
        averaging = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
        gan = fitted(*callbacks, optimizers=(averaging, keras.optimizers.SGD(0.1)))
        averages = averaging._model_variables_moving_average
        assert bits(*gan.generator.trainable_weights) == bits(*averages)


@pytest.mark.slow
def test_a_training_is_backed_up_and_restored_with_both_optimizers(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    whole = fitted(epochs=4)
    backup = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    with pytest.raises(KeyboardInterrupt):
        fitted(backup, Stop(), epochs=4)
    restored = fitted(keras.callbacks.BackupAndRestore(tmp_path), epochs=4)
    assert len(all_of(restored)) == len(all_of(whole))
    assert int(restored.optimizer.iterations) == int(whole.optimizer.iterations)


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
def test_functions_of_keras_write_no_hdf5_either(name, tmp_path):
    with pytest.raises(ValueError, match=r"^filepath: .*\.keras.*HDF5"):
        keras.saving.save_model(MLP((4,), 3, image_shape=(8, 8, 1)), tmp_path / name)
