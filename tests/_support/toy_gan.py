"""Two players of a handful of weights each, and their data."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from keras_dl.models import GAN

Z, SHAPE, B = 3, (4, 4, 1), 8
IMAGES = np.random.default_rng(0).random((4 * B, *SHAPE)).astype("float32")


def networks(regularizer=None, dtype=None):
    """Return both players, with weights and statistics."""
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
    """Return all variables that training changes, except the metrics' counts."""
    return bits(
        *gan.generator.variables,
        *gan.discriminator.variables,
        *gan.averages,
        *gan.generator_optimizer.variables,
        *gan.discriminator_optimizer.variables,
    )


def dataset(images=IMAGES):
    return tf.data.Dataset.from_tensor_slices(images).batch(B)
