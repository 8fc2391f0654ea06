"""The variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Unpack

import keras
import tensorflow as tf
from keras import ops

from keras_dl.arguments import check_choice, check_image_shape, check_sizes
from keras_dl.layers import GaussianSampling, stateless_noise
from keras_dl.models import densities
from keras_dl.models.batch_checks import checked_finite, checked_images, checked_shape, unweighted
from keras_dl.models.checked_model import CheckedModel
from keras_dl.models.latent_space import straight_line
from keras_dl.models.model_options import ModelOptions
from keras_dl.models.vae.vae_networks import vae_networks
from keras_dl.optimizers import steps_done
from keras_dl.renamed import arrays_by_keyword
from keras_dl.replicas import replica_mean, replica_sum
from keras_dl_export import Endpoint, Spec
from keras_dl_export.arguments import check_int

# Streams of noise: each is for the latents, and the next one for the binarization.
_TRAINING, _EVALUATION = 0, 2


class Terms(NamedTuple):
    """The loss and the two terms of the ELBO, in nats, each of shape (B,).

    Attributes:
        loss: the negative of the bound on log p(x).
        reconstruction: -E_q[log p(x | z)].
        kl: KL[q(z | x) || p(z)].
    """

    loss: Any
    reconstruction: Any
    kl: Any


@keras.saving.register_keras_serializable("keras_dl")
class VAE(CheckedModel):
    """A latent-variable model of images, trained on a lower bound of log p(x).

        z ~ p(z) = N(0, I),  x ~ p(x | z),  q(z | x) = N(mu(x), diag sigma^2(x))

        log p(x) >= ELBO = E_q[log p(x | z)] - KL[q(z | x) || p(z)]

    The decoder computes the parameters of p(x | z) for each pixel: the logits of `"bernoulli"`, or the means
    of `"gaussian"`, with one standard deviation for all pixels, which is learned unless `sigma` is given.
    With K draws z_1..z_K from q(z | x) for each image (`num_samples`), training maximizes

        bound="elbo":  1/K sum_k log p(x | z_k) - beta KL[q(z | x) || p(z)]
        bound="iwae":  log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x)

    `fit` takes images in [0, 1], or pairs whose labels it ignores. It reports means over images, in nats:
    `loss` (the negative of the above), `reconstruction` (-E_q[log p(x | z)]), `kl`, and `elbo` =
    -(reconstruction + kl), for any beta and bound. The noise of training is determined by (seed, training
    step, index in the batch), that of `evaluate` by the index in the data, so that every evaluation draws the
    same noise.

    Args:
        latent_dim: Z, the size of z.
        image_shape: (H, W, C) of one image.
        architecture: `"conv"`: convolutions of stride 2, mirrored by transposed ones; `"mlp"`: dense layers.
        likelihood: `"bernoulli"` or `"gaussian"`.
        beta: weight of the KL term (Higgins et al. 2017); 1 gives the ELBO.
        num_samples: K.
        bound: `"elbo"` or `"iwae"` (which needs beta = 1).
        filters: numbers of feature maps of the convolutions of the encoder; the decoder mirrors them.
        units: widths of the dense layers of the encoder; the decoder mirrors them. By default (256,) after
            convolutions, (200, 200) without.
        activation: activation of the hidden layers; by default `"relu"` with convolutions, `"tanh"` without.
        dynamic_binarization: draw x ~ Bernoulli(image) each time an image is used (Salakhutdinov and Murray
            2008).
        sigma: standard deviation of the Gaussian likelihood; None learns it.
        seed: seed of all noise.

    Shapes: images (B, H, W, C) float32; mean and log_variance of q(z | x), and z, (B, Z). Calling the model
    reconstructs images: the mean of p(x | z = mu(x)).

    Raises:
        ValueError: an argument is out of range; images have another shape; in training, images are outside
            [0, 1].

    Reference: notes 4.1; Kingma and Welling, Auto-encoding variational Bayes (ICLR 2014); Burda, Grosse and
        Salakhutdinov, Importance weighted autoencoders (ICLR 2016).
    """

    def __init__(
        self,
        latent_dim: int = 16,
        image_shape: Sequence[int] = (28, 28, 1),
        architecture: Literal["conv", "mlp"] = "conv",
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        beta: float = 1.0,
        num_samples: int = 1,
        *,
        bound: Literal["elbo", "iwae"] = "elbo",
        filters: Sequence[int] = (32, 64),
        units: Sequence[int] | None = None,
        activation: str | None = None,
        dynamic_binarization: bool = False,
        sigma: float | None = None,
        seed: int = 0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.latent_dim = check_int("latent_dim", latent_dim)
        self.image_shape = check_image_shape(image_shape)
        self.architecture = check_choice("architecture", architecture, "conv", "mlp")
        self.likelihood = check_choice("likelihood", likelihood, "bernoulli", "gaussian")
        self.bound = check_choice("bound", bound, "elbo", "iwae")
        self.num_samples = check_int("num_samples", num_samples)
        self.filters = check_sizes("filters", filters)
        self.units = None if units is None else check_sizes("units", units)
        if not beta >= 0 or (bound == "iwae" and beta != 1):
            raise ValueError(
                f"beta: expected a weight of at least 0, and 1 with bound='iwae', got beta={beta!r} and "
                f"bound={bound!r}. Omit beta, or pass bound='elbo'."
            )
        if sigma is not None and (not sigma > 0 or likelihood != "gaussian"):
            raise ValueError(
                "sigma: expected None, or a positive standard deviation with likelihood='gaussian', got "
                f"sigma={sigma!r} and likelihood={likelihood!r}. Omit it, or pass likelihood='gaussian'."
            )
        if dynamic_binarization and likelihood != "bernoulli":
            raise ValueError(
                "dynamic_binarization: expected False with likelihood='gaussian', whose pixels are real, got "
                "True. Pass likelihood='bernoulli'."
            )
        if architecture == "conv" and not self.filters:
            raise ValueError(
                "filters: expected at least one width for architecture='conv', got none. Pass (32, 64), or "
                "architecture='mlp'."
            )
        self.beta = beta
        self.activation = activation
        self.dynamic_binarization = dynamic_binarization
        self.sigma = sigma
        self.seed = check_int("seed", seed, 0)
        self.encoder, self.decoder = vae_networks(
            architecture,
            self.image_shape,
            self.latent_dim,
            filters=self.filters,
            units=self.units,
            activation=activation,
            dtype=self.dtype_policy,
        )
        self.sampling = GaussianSampling(dtype="float32")
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
        self.kl_tracker = keras.metrics.Mean(name="kl")
        self.build((None, *self.image_shape))

    def build(self, input_shape: Any) -> None:
        if self.likelihood == "gaussian" and self.sigma is None:
            self.log_sigma = self.add_weight(name="log_sigma", shape=(), dtype="float32", initializer="zeros")
        elif self.sigma is not None:
            self.log_sigma = math.log(self.sigma)
        mean, epsilon = (None, 1, self.latent_dim), (None, None, self.latent_dim)
        self.sampling.build((mean, mean, epsilon))

    # The equations.

    def encode(self, image: Any) -> tuple[Any, Any]:
        """Return mean and log variance of q(z | x), (B, Z) each, for images x (B, H, W, C)."""
        mean, log_variance = ops.split(self.encoder(self._as_images(image)), 2, axis=-1)
        return mean, log_variance

    def _as_images(self, image: Any) -> Any:
        image = checked_shape(ops.convert_to_tensor(image), self.image_shape, name="image", model="VAE")
        return ops.cast(image, "float32")

    def decode(self, z: Any) -> Any:
        """Return E[x | z], images (B, H, W, C) in [0, 1], for latents z (B, Z)."""
        z = checked_shape(ops.convert_to_tensor(z, "float32"), (self.latent_dim,), name="z", model="VAE")
        parameters = self.decoder(z)
        return ops.sigmoid(parameters) if self.likelihood == "bernoulli" else ops.clip(parameters, 0.0, 1.0)

    def log_likelihood(self, image: Any, z: Any) -> Any:
        """Return log p(x | z) in nats, (B, K), for images x (B, H, W, C) and K latents each, (B, K, Z)."""
        parameters = self.decoder(ops.reshape(z, (-1, self.latent_dim)))
        parameters = ops.reshape(parameters, (-1, ops.shape(z)[1], *self.image_shape))
        x = ops.expand_dims(ops.cast(image, "float32"), 1)
        if self.likelihood == "bernoulli":
            density = densities.bernoulli_log_density(x, parameters)
        else:
            density = densities.gaussian_log_density(x, parameters, 2 * self.log_sigma)
        return ops.sum(density, axis=(2, 3, 4))

    def log_importance_weights(self, image: Any, epsilon: Any) -> Any:
        """Return log w_k in nats, (B, K), for images x (B, H, W, C) and epsilon ~ N(0, I), (B, K, Z).

        w_k = p(x | z_k) p(z_k) / q(z_k | x) at z_k = mu + sigma epsilon_k. Its mean over k is an unbiased
        estimate of p(x).
        """
        mean, log_variance, z = self._posterior_samples(image, epsilon)
        return self.log_likelihood(image, z) + _log_prior_over_posterior(z, mean, log_variance)

    def terms(self, image: Any, epsilon: Any) -> Terms:
        """Return loss and terms of the ELBO for images x (B, H, W, C) and epsilon ~ N(0, I), (B, K, Z)."""
        mean, log_variance, z = self._posterior_samples(image, epsilon)
        log_likelihood = self.log_likelihood(image, z)
        reconstruction = -ops.mean(log_likelihood, axis=1)
        kl = ops.sum(densities.kl_to_standard_normal(mean, log_variance), axis=(1, 2))
        if self.bound == "elbo":
            return Terms(reconstruction + self.beta * kl, reconstruction, kl)
        log_weights = log_likelihood + _log_prior_over_posterior(z, mean, log_variance)
        count = ops.cast(ops.shape(log_weights)[1], "float32")
        return Terms(ops.log(count) - ops.logsumexp(log_weights, axis=1), reconstruction, kl)

    def _posterior_samples(self, image: Any, epsilon: Any) -> tuple[Any, Any, Any]:
        """Return mean and log variance of q(z | x), (B, 1, Z), and z (B, K, Z) drawn from it."""
        mean, log_variance = (ops.expand_dims(part, 1) for part in self.encode(image))
        return mean, log_variance, self.sampling((mean, log_variance, epsilon))

    def call(self, image: Any, training: bool = False) -> Any:
        return self.reconstruct(image)

    # Training.

    def compile(self, optimizer: Any = "adam", **kwargs: Any) -> None:
        """Set the optimizer; the loss is the negative bound.

        Args:
            optimizer: as in Keras.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`, `auto_scale_loss`, as in Keras.

        Raises:
            ValueError: a loss or metrics are passed.
        """
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if kwargs.get(name) is not None:
                raise ValueError(
                    f"{name}: expected None, because a VAE trains on its bound of log p(x) and reports its "
                    f"terms, got {kwargs[name]!r}. Pass only compile(optimizer=...)."
                )
        super().compile(optimizer=optimizer, **kwargs)

    def checked_data(self, data: Any) -> Any:
        """Return the images of a batch of images, or of (images, labels)."""
        image, _ = unweighted(data, "VAE")
        return checked_finite(image=checked_images(self._as_images(image)))[0]

    def checked_query(self, data: Any) -> Any:
        """Return the images of a batch of images, or of (images, labels)."""
        image, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return checked_images(self._as_images(image))

    def _learn(self, data: Any) -> dict[str, Any]:
        """Run one step of the optimizer on images."""
        image, epsilon = self._draw(data, step=steps_done(self.optimizer), stream=_TRAINING)
        with tf.GradientTape() as tape:
            terms = self.terms(image, epsilon)
            loss = self.optimizer.scale_loss(replica_mean(terms.loss))
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return self._report(terms)

    def _judge(self, data: Any) -> dict[str, Any]:
        """Return the terms on images."""
        # Counted since the last reset, so that the noise of an image only depends on its index in the data.
        seen = replica_sum(self.loss_tracker.count.value)
        return self._report(self.terms(*self._draw(data, step=0, first_index=seen, stream=_EVALUATION)))

    def _answer(self, data: Any) -> Any:
        """Return the reconstructions of images."""
        return self(data, training=False)

    def _draw(self, image: Any, *, stream: int, **key: Any) -> tuple[Any, Any]:
        """Return the images, binarized with `dynamic_binarization`, and their epsilon (B, K, Z)."""
        count = ops.shape(image)[0]
        if self.dynamic_binarization:
            uniform = stateless_noise(
                count, self.image_shape, distribution="uniform", seed=self.seed, stream=stream + 1, **key
            )
            image = ops.cast(uniform < image, "float32")
        shape = (self.num_samples, self.latent_dim)
        return image, stateless_noise(count, shape, seed=self.seed, stream=stream, **key)

    def _report(self, terms: Terms) -> dict[str, Any]:
        for tracker, term in zip(self.metrics, terms, strict=True):
            tracker.update_state(term)
        return _with_elbo({tracker.name: tracker.result() for tracker in self.metrics})

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the means so far, over all replicas."""
        return _with_elbo(super().get_metrics_result())

    @property
    def metrics(self) -> list[Any]:
        """The mean terms over the images since the last reset."""
        return [self.loss_tracker, self.reconstruction_tracker, self.kl_tracker]

    # Use.

    def reconstruct(self, image: Any) -> Any:
        """Return the mean of p(x | z = mu(x)), (B, H, W, C) in [0, 1], for images x (B, H, W, C)."""
        return self.decode(self.encode(image)[0])

    @arrays_by_keyword("z")
    def sample(self, count: int = 1, *, z: Any = None, seed: int = 0) -> Any:
        """Return the means of p(x | z) for z ~ N(0, I), images (N, H, W, C) in [0, 1].

        Args:
            count: N, the number of latents to draw.
            z: latents (N, Z) instead.
            seed: seed of the drawn latents; equal seeds give equal images.
        """
        if z is None:
            z = stateless_noise(check_int("count", count), (self.latent_dim,), seed=seed, step=0)
        return self.decode(z)

    def interpolate(self, start: Any, end: Any, steps: int = 8) -> Any:
        """Return images on the straight line between two latent means.

        Args:
            start: images (B, H, W, C).
            end: equally many images.
            steps: S, both ends included.

        Returns:
            Images (B, S, H, W, C) in [0, 1]; the first and the last are the reconstructions of `start` and
            `end`.

        Raises:
            ValueError: `steps` is below 2, or the numbers of images differ.
        """
        z = straight_line(self.encode(start)[0], self.encode(end)[0], steps)
        return ops.reshape(self.decode(ops.reshape(z, (-1, self.latent_dim))), (-1, steps, *self.image_shape))

    def endpoints(self) -> dict[str, Endpoint]:
        """Return `serving_default` (reconstruct), `encode`, `decode`, `sample`; the caller draws z."""
        image = {"image": Spec(("batch", *self.image_shape), "float32")}
        z = {"z": Spec(("batch", self.latent_dim), "float32")}
        return {
            "serving_default": Endpoint(lambda image: {"image": self.reconstruct(image)}, image),
            "encode": Endpoint(self._encode_by_name, image),
            "decode": Endpoint(lambda z: {"image": self.decode(z)}, z),
            "sample": Endpoint(lambda z: {"image": self.decode(z)}, z),
        }

    def _encode_by_name(self, image: Any) -> dict[str, Any]:
        mean, log_variance = self.encode(image)
        return {"mean": mean, "log_variance": log_variance}

    def get_config(self) -> dict[str, Any]:
        names = (
            *("latent_dim", "image_shape", "architecture", "likelihood", "beta", "num_samples", "bound"),
            *("filters", "units", "activation", "dynamic_binarization", "sigma", "seed"),
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _log_prior_over_posterior(z: Any, mean: Any, log_variance: Any) -> Any:
    """Return log p(z) - log q(z | x), (B, K)."""
    prior = densities.gaussian_log_density(z, 0.0, 0.0)
    return ops.sum(prior - densities.gaussian_log_density(z, mean, log_variance), axis=-1)


def _with_elbo(means: dict[str, Any]) -> dict[str, Any]:
    return {**means, "elbo": -(means["reconstruction"] + means["kl"])}
