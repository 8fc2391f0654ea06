"""What a GAN refuses."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_dl.models import GAN
from tests._support.toy_gan import IMAGES, SHAPE, B, Z, everything, make, networks

# What goes wrong.


def test_networks_that_do_not_fit_are_refused():
    generator, discriminator = networks()
    other = keras.Sequential([keras.Input((5, 5, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"got outputs \(None, 4, 4, 1\).*\(None, 5, 5, 1\).*Change"):
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
    conditional = keras.Model([z, label], generator(keras.layers.Concatenate()([z, label])[:, :Z]))
    with pytest.raises(ValueError, match="generator: expected 1 input, got 2.*ConditionalGAN"):
        GAN(conditional, discriminator)


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"loss": "nonsaturating"}, "loss: expected 'minimax' or 'non_saturating' or .*got 'nonsaturating'"),
        ({"prior": "cauchy"}, "prior: expected 'uniform' or 'normal', got 'cauchy'"),
        ({"discriminator_steps": 0}, "discriminator_steps: expected an int of at least 1, got 0"),
        ({"label_smoothing": 1.5}, "label_smoothing: expected a fraction"),
        (
            {"loss": "hinge", "label_smoothing": 0.1},
            "label_smoothing: expected 0 with loss='hinge'.*Omit it",
        ),
        ({"gradient_penalty": -1.0}, "gradient_penalty: expected None or a weight of at least 0, got -1.0"),
        ({"ema_momentum": 1.0}, "ema_momentum: expected a fraction"),
    ],
)
def test_arguments_out_of_range_are_refused(kwargs, text):
    with pytest.raises(ValueError, match=text):
        GAN(*networks(), **kwargs)


def test_compile_without_two_optimizers_is_refused():
    gan = GAN(*networks())
    with pytest.raises(
        ValueError, match="discriminator_optimizer: expected an optimizer, got None.*one for each player"
    ):
        gan.compile(generator_optimizer="adam")
    with pytest.raises(ValueError, match="generator_optimizer: expected an optimizer, got None"):
        gan.compile(discriminator_optimizer="adam")
    with pytest.raises(
        ValueError, match="optimizer: expected None, because a GAN has an optimizer for each player"
    ):
        gan.compile(optimizer="adam")
    with pytest.raises(ValueError, match="loss: expected None.*the loss of its constructor"):
        gan.compile("adam", "adam", loss="mse")
    shared = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="got the same.*one optimizer for each player"):
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
    with pytest.raises(ValueError, match="sample_weight: expected None"):
        gan.fit(IMAGES, np.zeros(len(IMAGES)), sample_weight=np.ones(len(IMAGES)), verbose=0)
    with pytest.raises(ValueError, match=r"z: expected shape \(batch, 3\), got \(2, 4\)"):
        gan.generate(z=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="steps: expected an int of at least 2, got 1"):
        gan.interpolate(np.zeros((1, Z)), np.zeros((1, Z)), steps=1)
    with pytest.raises(ValueError, match=r"start, end: expected .* got \(2, 3\) and \(1, 3\)"):
        gan.interpolate(np.zeros((2, Z)), np.zeros((1, Z)))
    for number in (0, 1.5, None):
        with pytest.raises(ValueError, match="count: expected an int of at least 1, got"):
            gan.generate(number)
    assert everything(gan) == before
