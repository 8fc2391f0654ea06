"""The generative adversarial network."""

from __future__ import annotations

import contextlib
from typing import Any, Literal, Unpack

import keras
import tensorflow as tf
from keras import ops

from keras_dl.arguments import check_choice, check_rate
from keras_dl.layers import stateless_noise
from keras_dl.models.batch_checks import checked_finite, checked_images, checked_shape, unweighted
from keras_dl.models.checked_model import CheckedModel
from keras_dl.models.gan import adversarial_losses
from keras_dl.models.gan.players import (
    PlayersOptimizers,
    check_players,
    player_inputs,
    player_objective,
    player_outputs,
    players_optimizers,
    refuse_common_arguments,
)
from keras_dl.models.latent_space import PRIORS, analogy, draw_latents, straight_line
from keras_dl.models.model_options import ModelOptions
from keras_dl.optimizers import steps_done
from keras_dl.renamed import arrays_by_keyword
from keras_dl.replicas import replica_sum
from keras_dl_export import Endpoint, Spec
from keras_dl_export.arguments import check_int

# Streams of noise: each is for the latents, the next one for the gradient penalty. Additional turns of the
# discriminator have their own.
_TRAINING, _EVALUATION, _USE = 0, 2, 4
_STREAMS = 6

_PLAYERS = ("generator", "discriminator")
_SETTINGS = (
    *("loss", "prior", "discriminator_steps", "label_smoothing", "gradient_penalty", "ema_momentum", "seed"),
)


@keras.saving.register_keras_serializable("keras_dl")
class GAN(CheckedModel):
    """A generator G and a discriminator D that train against each other.

        z ~ p(z),  G: z -> x,  D: x -> the logit of "x is real"

        min_G max_D  E_x[log sigma(D(x))] + E_z[log(1 - sigma(D(G(z))))]

    `fit` takes data, or pairs whose labels it ignores. On each batch the players take turns, D first:

        discriminator_steps times, each with its own z:  D minimizes E[real(D(x))] + E[fake(D(G(z)))]
        then once:                                       G minimizes E[generator(D(G(z)))]

    where `loss` defines `real`, `fake` and `generator`. During the turn of one player, the weights and the
    statistics (the moving averages of batch normalization) of the other do not change. The turn of G uses D
    after its last turn, and the same z; G is unchanged since then, so one forward pass of G is used for both.
    The noise is determined by (seed, step of G, index in the batch), in `evaluate` by the index in the data,
    so that every evaluation draws the same noise.

    `fit` and `evaluate` report `generator_loss` and `discriminator_loss`, means over the examples.

    Args:
        generator: a built model z (B, Z) -> data; images must be in [0, 1].
        discriminator: a built model data -> logits (B, 1), without a sigmoid.
        loss: `"minimax"` (the value above), `"non_saturating"` (the generator maximizes E[log sigma(D(G(z)))]
            instead), `"hinge"`, `"least_squares"` or `"wasserstein"`.
        prior: p(z): `"uniform"`, U(-1, 1)^Z, or `"normal"`, N(0, I).
        discriminator_steps: turns of the discriminator per turn of the generator, on the same real batch.
        label_smoothing: s; the target for real data is 1 - s (for losses with such a target).
        gradient_penalty: weight of E[(||grad D(x^)|| - 1)^2] in the loss of the discriminator; None is 10 for
            `"wasserstein"` and 0 otherwise.
        ema_momentum: m; if given, calling the model and all functions based on it use the moving average of
            the weights of the generator, w_bar <- m w_bar + (1 - m) w, with a smaller m in the first steps.
        seed: seed of all noise.

    Shapes: latents z (B, Z); images (B, H, W, C), or data of any other shape. Calling the model generates.

    Raises:
        ValueError: an argument is out of range; the shapes of the networks do not match; in training, images
            have another shape or values outside [0, 1].

    Reference: notes 4.2; Goodfellow et al., Generative adversarial nets (NeurIPS 2014).
    """

    built: bool
    _conditions = 0  # inputs of the players in addition to z and the image

    def __init__(
        self,
        generator: Any,
        discriminator: Any,
        loss: adversarial_losses.LossName = "non_saturating",
        *,
        prior: Literal["uniform", "normal"] = "uniform",
        discriminator_steps: int = 1,
        label_smoothing: float = 0.0,
        gradient_penalty: float | None = None,
        ema_momentum: float | None = None,
        seed: int = 0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.latent_dim, self.image_shape = check_players(generator, discriminator, self._conditions)
        self.generator = generator
        self.discriminator = discriminator
        self.loss = loss
        self.prior = check_choice("prior", prior, *PRIORS)
        self.discriminator_steps = check_int("discriminator_steps", discriminator_steps)
        self.label_smoothing = adversarial_losses.check_label_smoothing(loss, label_smoothing)
        self.gradient_penalty = gradient_penalty
        self._penalty = adversarial_losses.penalty_weight(loss, gradient_penalty)
        self._game = adversarial_losses.ADVERSARIAL_LOSSES[loss]
        self.ema_momentum = None if ema_momentum is None else check_rate("ema_momentum", ema_momentum)
        self.seed = check_int("seed", seed, 0)
        self.generator_tracker = keras.metrics.Mean(name="generator_loss")
        self.discriminator_tracker = keras.metrics.Mean(name="discriminator_loss")
        self.build((None, self.latent_dim))

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        self.averages = []
        if self.ema_momentum is not None:
            for weight in self.generator.weights:
                average = self.add_weight(
                    shape=weight.shape, dtype=weight.dtype, trainable=False, name=f"average_{weight.name}"
                )
                average.assign(weight)
                self.averages.append(average)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        with self._averaged_weights():
            return self._generated(inputs, training=training)

    def _averaged_weights(self) -> Any:
        """Return a context in which the generator uses its averages, if it has any."""
        if not self.averages:
            return contextlib.nullcontext()
        return keras.StatelessScope(list(zip(self.generator.weights, self.averages, strict=True)))

    def _generated(self, inputs: Any, training: bool) -> Any:
        return player_outputs(self.generator, inputs, training)

    def discriminate(self, inputs: Any, training: bool = False) -> Any:
        """Return the logit of the discriminator that each image is real.

        Args:
            inputs: the inputs of the discriminator: images (B, H, W, C).
            training: whether batch normalization and dropout behave as in training.

        Returns:
            Logits (B, 1).
        """
        return player_outputs(self.discriminator, inputs, training)

    def compile(
        self, generator_optimizer: Any = None, discriminator_optimizer: Any = None, **kwargs: Any
    ) -> None:
        """Set the optimizer of each player; the losses are those of the constructor.

        Args:
            generator_optimizer: optimizer of the generator, or its name or config as in Keras.
            discriminator_optimizer: optimizer of the discriminator.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`, `auto_scale_loss`, as in Keras.

        Raises:
            ValueError: an optimizer is missing or used for both players, or a loss or metrics are passed.
        """
        refuse_common_arguments(kwargs, type(self).__name__)
        players = (self.generator, generator_optimizer), (self.discriminator, discriminator_optimizer)
        scale_loss = kwargs.pop("auto_scale_loss", True)
        self.generator_optimizer, self.discriminator_optimizer = players_optimizers(*players, scale_loss)
        super().compile(optimizer=None, **kwargs)
        self.optimizer = PlayersOptimizers(self.generator_optimizer, self.discriminator_optimizer)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Train as `keras.Model.fit` does; callbacks change the learning rates of both players."""
        history = super().fit(*args, **kwargs)
        self.optimizer.finalize_variable_values()
        return history

    def get_compile_config(self) -> dict[str, Any]:
        if not self.compiled:
            return {}
        serialize = keras.saving.serialize_keras_object
        optimizers = {name: serialize(getattr(self, name)) for name in map("{}_optimizer".format, _PLAYERS)}
        options = ("run_eagerly", "steps_per_execution", "jit_compile")
        return {**optimizers, **{name: getattr(self, name) for name in options}}

    def checked_data(self, data: Any) -> tuple[Any, ...]:
        """Return the images of the batch, and the conditions of both players."""
        image, _ = unweighted(data, type(self).__name__)
        image = checked_shape(
            ops.convert_to_tensor(image), self.image_shape, name="image", model=type(self).__name__
        )
        if len(self.image_shape) == 3:  # data other than images may have any values
            image = checked_images(image)
        return checked_finite(image=ops.cast(image, "float32"))

    def checked_query(self, data: Any) -> Any:
        """Return the latents of the batch."""
        z, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._checked_latents(z)

    def _learn(self, data: Any) -> dict[str, Any]:
        """Run the turns of the discriminator, then the turn of the generator."""
        image, *condition = data
        with tf.control_dependencies([image, *condition]):  # a rejected batch changes nothing
            return self._report(*self._play(image, condition))

    def _play(self, image: Any, condition: Any) -> tuple[Any, Any]:
        """Run all turns; return the losses (B,) of the generator and of the last discriminator turn."""
        noise = {"seed": self.seed, "step": steps_done(self.generator_optimizer)}
        for turn in range(1, self.discriminator_steps):
            stream = _TRAINING + turn * _STREAMS
            with keras.StatelessScope():  # discard the assignments of the generator
                fake = self._fake(image, condition, training=True, stream=stream, **noise)
            self._train_discriminator(image, fake, condition, stream=stream, **noise)
        noise["stream"] = _TRAINING
        with tf.GradientTape() as tape:
            fake = self._fake(image, condition, training=True, **noise)
            with tape.stop_recording():
                discriminator_losses = self._train_discriminator(image, fake, condition, **noise)
            with keras.StatelessScope():  # discard the assignments of the discriminator
                generator_losses = self._generator_losses(fake, condition, training=True)
            loss = self.generator_optimizer.scale_loss(player_objective(generator_losses, self.generator))
        weights = self.generator.trainable_weights
        updates = tf.identity(self.generator_optimizer.iterations)
        self.generator_optimizer.apply(tape.gradient(loss, weights), weights)
        self._update_averages(updates)
        return generator_losses, discriminator_losses

    def _train_discriminator(self, image: Any, fake: Any, condition: Any, **noise: Any) -> Any:
        """Run one turn of the discriminator, with constant `fake`; return its losses (B,)."""
        with tf.GradientTape() as tape:
            losses = self._discriminator_losses(image, fake, condition, training=True, **noise)
            loss = self.discriminator_optimizer.scale_loss(player_objective(losses, self.discriminator))
        weights = self.discriminator.trainable_weights
        self.discriminator_optimizer.apply(tape.gradient(loss, weights), weights)
        return losses

    def _judge(self, data: Any) -> dict[str, Any]:
        """Return both losses on a batch without changing the players."""
        image, *condition = data
        # Counted since the last reset, so that the noise of an example only depends on its index in the data.
        seen = replica_sum(self.generator_tracker.count.value)
        noise = {"seed": self.seed, "step": 0, "first_index": seen, "stream": _EVALUATION}
        fake = self._fake(image, condition, training=False, **noise)
        return self._report(
            self._generator_losses(fake, condition, training=False),
            self._discriminator_losses(image, fake, condition, training=False, **noise),
        )

    def _answer(self, data: Any) -> Any:
        """Return the images G(z) of latents."""
        return self(data)

    def _fake(self, image: Any, condition: Any, *, training: bool, **noise: Any) -> Any:
        """Return as many generated images as there are real ones."""
        z = draw_latents(self.prior, ops.shape(image)[0], self.latent_dim, **noise)
        return self._generated(player_inputs(z, condition), training=training)

    def _generator_losses(self, fake: Any, condition: Any, training: bool) -> Any:
        logits = self.discriminate(player_inputs(fake, condition), training=training)
        return ops.squeeze(self._game.generator(logits), axis=-1)

    def _discriminator_losses(
        self, image: Any, fake: Any, condition: Any, *, training: bool, stream: int, **noise: Any
    ) -> Any:
        def critic(image: Any) -> Any:
            return self.discriminate(player_inputs(image, condition), training=training)

        losses = self._game.real(critic(image), self.label_smoothing) + self._game.fake(critic(fake))
        losses = ops.squeeze(losses, axis=-1)
        if not self._penalty:
            return losses
        shape = (1,) * len(self.image_shape)
        noise |= {"distribution": "uniform", "stream": stream + 1}
        share = stateless_noise(ops.shape(image)[0], shape, **noise)
        with keras.StatelessScope():  # interpolated images must not change the statistics
            return losses + self._penalty * adversarial_losses.gradient_penalty(critic, image, fake, share)

    def _update_averages(self, updates: Any) -> None:
        """Update the averages if the optimizer has made an update after `updates`, not only accumulated."""
        if self.averages:
            made = ops.convert_to_tensor(self.generator_optimizer.iterations)
            t = ops.cast(made, "float32")
            momentum = ops.minimum(self.ema_momentum, t / (t + 10.0))  # forget the untrained weights early
            momentum = ops.where(made > updates, momentum, 1.0)
            for average, weight in zip(self.averages, self.generator.weights, strict=True):
                average.assign(momentum * average + (1.0 - momentum) * weight)

    def _report(self, generator_losses: Any, discriminator_losses: Any) -> dict[str, Any]:
        self.generator_tracker.update_state(generator_losses)
        self.discriminator_tracker.update_state(discriminator_losses)
        return {tracker.name: tracker.result() for tracker in self.metrics}

    @property
    def metrics(self) -> list[Any]:
        """The mean losses over the examples since the last reset."""
        return [self.generator_tracker, self.discriminator_tracker]

    def sample_prior(self, count: int = 1, *, seed: int = 0) -> Any:
        """Draw latents z ~ p(z).

        Args:
            count: N.
            seed: equal seeds give equal latents.

        Returns:
            Latents (N, Z).
        """
        return draw_latents(
            self.prior, check_int("count", count), self.latent_dim, seed=seed, step=0, stream=_USE
        )

    @arrays_by_keyword("z")
    def generate(self, count: int = 1, *, z: Any = None, seed: int = 0) -> Any:
        """Generate images G(z).

        Args:
            count: N, the number of latents to draw from the prior.
            z: latents (N, Z) instead.
            seed: seed of the drawn latents; equal seeds give equal images.

        Returns:
            Images (N, H, W, C).
        """
        return self(self._latents(count, z, seed))

    def interpolate(self, start: Any, end: Any, steps: int = 8) -> Any:
        """Generate images on the straight line between two latents.

        Args:
            start: latents (B, Z) or (Z,).
            end: latents of the same shape.
            steps: S, both ends included.

        Returns:
            Images (B, S, H, W, C), B = 1 for latents (Z,).

        Raises:
            ValueError: `steps` is below 2, or the latents differ in shape.
        """
        images = self.generate(z=ops.reshape(straight_line(start, end, steps), (-1, self.latent_dim)))
        return ops.reshape(images, (-1, steps, *self.image_shape))

    def arithmetic(self, start: Any, minus: Any, plus: Any) -> Any:
        """Generate images of z = start - minus + plus.

        Directions of the latent space have meanings: smiling woman - neutral woman + neutral man is a smiling
        man. Single latents are noisy; average several similar ones, `z.mean(axis=0)`.

        Args:
            start: latents (B, Z) or (Z,).
            minus: latents (B, Z) or (Z,).
            plus: latents (B, Z) or (Z,).

        Returns:
            Images (B, H, W, C), B = 1 for latents (Z,).

        Reference: Radford, Metz and Chintala, Unsupervised representation learning with deep convolutional
            generative adversarial networks (ICLR 2016), section 6.3.2.
        """
        return self.generate(z=analogy(start, minus, plus))

    def _latents(self, count: int, z: Any, seed: int) -> Any:
        return self.sample_prior(count, seed=seed) if z is None else self._checked_latents(z)

    def _checked_latents(self, z: Any) -> Any:
        z = ops.convert_to_tensor(z, "float32")
        return checked_shape(z, (self.latent_dim,), name="z", model=type(self).__name__)

    def endpoints(self) -> dict[str, Endpoint]:
        """Return `serving_default` (generate), with z drawn by the caller, and `discriminate`."""
        z = {"z": Spec(("batch", self.latent_dim), "float32")}
        image = {"image": Spec(("batch", *self.image_shape), "float32")}
        return {
            "serving_default": Endpoint(lambda z: {"image": self(z)}, z),
            "discriminate": Endpoint(lambda image: {"logits": self.discriminate(image)}, image),
        }

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        players = {name: serialize(getattr(self, name)) for name in _PLAYERS}
        return {**super().get_config(), **players, **{name: getattr(self, name) for name in _SETTINGS}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        deserialize = keras.saving.deserialize_keras_object
        players = {name: deserialize(config[name], custom_objects) for name in _PLAYERS if name in config}
        return super().from_config({**config, **players}, custom_objects)
