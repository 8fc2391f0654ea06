"""The same networks in plain Keras, trained as in its examples."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_dl.layers import BatchNormalization


def plain_copy(network: Any) -> Any:
    """Return a network of the same architecture, with Keras's own batch normalization."""

    def copy(layer: Any) -> Any:
        kind = keras.layers.BatchNormalization if isinstance(layer, BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(network, clone_function=copy)


class PlainVAE(keras.Model):
    """A textbook VAE with its own `train_step`.

    Args:
        encoder: images -> mean and log variance of the latents, concatenated.
        decoder: latents -> logits of the pixels.
    """

    def __init__(self, encoder: Any, decoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.seed_generator = keras.random.SeedGenerator(0)
        self.tracker = keras.metrics.Mean(name="loss")

    def call(self, image: Any) -> Any:
        return self.decoder(ops.split(self.encoder(image), 2, axis=-1)[0])

    def train_step(self, image: Any) -> dict[str, Any]:
        """Run one step on a batch of images."""
        with tf.GradientTape() as tape:
            mean, log_variance = ops.split(self.encoder(image, training=True), 2, axis=-1)
            epsilon = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
            logits = self.decoder(mean + ops.exp(0.5 * log_variance) * epsilon, training=True)
            pixels = ops.binary_crossentropy(image, logits, from_logits=True)
            kl = 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)
            loss = ops.mean(ops.sum(pixels, axis=(1, 2, 3)) + ops.sum(kl, axis=1))
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}


class TwoPassGAN(keras.Model):
    """A GAN with two optimizers that runs its generator in each player's turn.

    Args:
        generator: latents -> images.
        discriminator: images -> logits.
    """

    def __init__(self, generator: Any, discriminator: Any) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.seed_generator = keras.random.SeedGenerator(0)
        self.loss_function = keras.losses.BinaryCrossentropy(from_logits=True)
        self.generator_tracker = keras.metrics.Mean(name="generator_loss")
        self.discriminator_tracker = keras.metrics.Mean(name="discriminator_loss")

    def compile(self, generator_optimizer: Any, discriminator_optimizer: Any, **kwargs: Any) -> None:
        super().compile(**kwargs)
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer

    def train_step(self, image: Any) -> dict[str, Any]:
        """Run one turn of each player, first the discriminator."""
        shape = (ops.shape(image)[0], self.generator.input_shape[-1])
        z = keras.random.uniform(shape, -1.0, 1.0, seed=self.seed_generator)
        fake = self.generator(z, training=True)
        with tf.GradientTape() as tape:
            on_real = self.discriminator(image, training=True)
            on_fake = self.discriminator(fake, training=True)
            discriminator_loss = self.loss_function(ops.ones_like(on_real), on_real)
            discriminator_loss += self.loss_function(ops.zeros_like(on_fake), on_fake)
        weights = self.discriminator.trainable_weights
        gradients = tape.gradient(discriminator_loss, weights)
        self.discriminator_optimizer.apply_gradients(zip(gradients, weights, strict=True))

        z = keras.random.uniform(shape, -1.0, 1.0, seed=self.seed_generator)
        with tf.GradientTape() as tape:
            logits = self.discriminator(self.generator(z, training=True), training=True)
            generator_loss = self.loss_function(ops.ones_like(logits), logits)
        weights = self.generator.trainable_weights
        gradients = tape.gradient(generator_loss, weights)
        self.generator_optimizer.apply_gradients(zip(gradients, weights, strict=True))

        self.generator_tracker.update_state(generator_loss)
        self.discriminator_tracker.update_state(discriminator_loss)
        return {tracker.name: tracker.result() for tracker in self.metrics}


def recurrent_layers(cell: str, units: int) -> Any:
    """Return Keras's own layers of the same equation.

    Args:
        cell: `"lstm"`, `"gru"` or `"rnn"`.
        units: H.

    Returns:
        The layers between the sequence and the head.
    """
    if cell == "lstm":
        return [keras.layers.LSTM(units)]
    if cell == "gru":
        return [keras.layers.GRU(units, reset_after=False)]
    return [keras.layers.SimpleRNN(units, use_bias=False), keras.layers.Dense(units, use_bias=False)]
