"""The deep convolutional GAN: its shapes, its prior, its normalization."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_dl import load_model
from keras_dl.layers import BatchNormalization
from keras_dl.models import DCGAN

SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (30, 17, 2)]


def small(image_shape=(8, 8, 1), **kwargs):
    return DCGAN(image_shape, filters=(4, 8), **kwargs)


def layer_types(player):
    return [type(layer) for layer in player.layers]


def test_a_hundred_uniform_numbers_in_an_image_out():
    gan = DCGAN()
    assert gan.generator.input_shape == (None, 100)
    assert gan.generator.output_shape == gan.discriminator.input_shape == (None, 28, 28, 1)
    z = np.asarray(gan.sample_prior(2000))
    assert z.shape == (2000, 100)
    # The empirical distribution function of n draws is within 1.95 / sqrt(n) of U(-1, 1)'s but one time in a
    # thousand (Kolmogorov).
    draws = np.sort(z.ravel())
    distance = np.abs((draws + 1) / 2 - np.arange(draws.size) / draws.size).max()
    assert distance < 1.95 / np.sqrt(draws.size)
    assert np.abs(np.corrcoef(z.T) - np.eye(100)).max() < 0.12


@pytest.mark.parametrize("image_shape", SHAPES)
def test_images_of_any_shape_in_the_unit_range(image_shape):
    gan = small(image_shape)
    for weight in gan.generator.trainable_weights:
        weight.assign(weight * 50)  # saturate the tanh
    images = np.asarray(gan.generate(20))
    assert images.shape == (20, *image_shape)
    assert images.min() >= 0
    assert images.max() <= 1
    assert np.ptp(images) > 0.9
    assert gan.discriminate(images).shape == (20, 1)


def test_convolutions_of_stride_two_as_in_the_paper():
    gan = DCGAN()
    down = [layer for layer in gan.discriminator.layers if isinstance(layer, keras.layers.Conv2D)]
    up = [layer for layer in gan.generator.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert [layer.strides for layer in (*down, *up)] == [(2, 2)] * 4
    assert [layer.filters for layer in up] == [64, 1]
    assert not any("Pooling" in kind.__name__ for kind in layer_types(gan.discriminator))
    slopes = [layer for layer in gan.discriminator.layers if isinstance(layer, keras.layers.LeakyReLU)]
    assert {layer.negative_slope for layer in slopes} == {0.2}


@pytest.mark.parametrize(
    ("kwargs", "per_image"),
    [
        ({}, False),
        ({"loss": "wasserstein"}, True),
        ({"loss": "hinge", "gradient_penalty": 1.0}, True),
        ({"loss": "wasserstein", "gradient_penalty": 0.0}, False),
    ],
)
def test_a_penalty_on_each_images_gradient_needs_a_discriminator_that_looks_at_each_image_alone(
    kwargs, per_image
):
    gan = small(**kwargs)
    kinds = layer_types(gan.discriminator)
    assert (keras.layers.LayerNormalization in kinds) == per_image
    assert (BatchNormalization in kinds) != per_image
    images = np.random.default_rng(0).random((6, 8, 8, 1)).astype("float32")
    together = np.asarray(gan.discriminate(images, training=True))
    alone = np.concatenate([gan.discriminate(image[None], training=True) for image in images])
    assert np.allclose(together, alone, atol=1e-5) == per_image


def test_it_learns_the_one_image_there_is():
    image = np.kron(np.eye(4), np.ones((2, 2)))[None, :, :, None].astype("float32")
    keras.utils.set_random_seed(0)
    gan = small(latent_dim=4)
    adam = keras.optimizers.Adam
    gan.compile(adam(0.01, beta_1=0.5), adam(0.01, beta_1=0.5))
    before = float(np.mean((np.asarray(gan.generate(50)) - image) ** 2))
    gan.fit(image.repeat(16 * 150, axis=0), batch_size=16, epochs=1, verbose=0)
    after = float(np.mean((np.asarray(gan.generate(50)) - image) ** 2))
    assert after < before / 10


def test_it_comes_back_from_its_file(tmp_path):
    gan = small(
        (12, 12, 3), latent_dim=5, loss="hinge", kernel_size=5, ema_momentum=0.9, gradient_penalty=2.0
    )
    gan.compile("adam", "adam")
    gan.save(tmp_path / "gan.keras")
    again = load_model(tmp_path / "gan.keras")
    assert type(again) is DCGAN
    names = (
        "image_shape",
        "latent_dim",
        "loss",
        "filters",
        "kernel_size",
        "gradient_penalty",
        "ema_momentum",
    )
    assert {name: getattr(again, name) for name in names} == {name: getattr(gan, name) for name in names}
    np.testing.assert_array_equal(again.generate(3), gan.generate(3))


def test_mixed_precision_keeps_the_heads_in_float32():
    gan = small(dtype="mixed_float16", loss="wasserstein")
    gan.compile("adam", "adam")
    assert isinstance(gan.generator_optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(gan.discriminator_optimizer, keras.optimizers.LossScaleOptimizer)
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    convolutions = [
        layer
        for player in (gan.generator, gan.discriminator)
        for layer in player.layers
        if isinstance(layer, kinds)
    ]
    assert [layer.compute_dtype for layer in convolutions] == ["float16", "float32", "float16", "float16"]
    assert gan.discriminator.layers[-1].compute_dtype == "float32"
    images = np.random.default_rng(0).random((16, 8, 8, 1)).astype("float32")
    history = gan.fit(images, batch_size=8, epochs=10, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert gan.generator_optimizer.iterations > 0
    assert (
        0 < gan.discriminator_optimizer.iterations < 20
    )  # the penalty overflows until the scale has settled


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"image_shape": (28, 28)}, r"image_shape: expected \(height, width, channels\).*got \(28, 28\)"),
        ({"latent_dim": 0}, "latent_dim: expected an int of at least 1, got 0"),
        ({"filters": ()}, "filters: expected the feature maps of at least one convolution, got none"),
        ({"filters": (8, 0)}, "filters: expected an int of at least 1, got 0"),
        ({"kernel_size": 0}, "kernel_size: expected an int of at least 1, got 0"),
        ({"loss": "bce"}, "loss: expected 'minimax' or .*got 'bce'"),
    ],
)
def test_arguments_out_of_range_are_refused(kwargs, text):
    with pytest.raises(ValueError, match=text):
        DCGAN(**kwargs)
