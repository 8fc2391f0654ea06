"""Noise, and the layers that draw it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

from keras_dl.layers.arguments import check_choice, check_rate
from keras_dl_export.arguments import check_int

_WORDS = 4  # numbers that one Philox counter value yields


def stateless_noise(
    batch_size: Any,
    shape: Sequence[int],
    *,
    seed: int,
    step: Any,
    distribution: Literal["normal", "uniform"] = "normal",
    minval: float = 0.0,
    maxval: float = 1.0,
    stream: int = 0,
    first_index: Any = 0,
) -> Any:
    """Noise that depends on nothing but seed, step, stream and the example's index in the global batch.

    Every example owns its own stretch of a counter-based generator (Philox), addressed by its index. Two runs
    that reach the same step draw the same numbers, whether or not one of them was interrupted; and the
    replicas of a `tf.distribute` strategy draw together exactly the numbers that one device would draw for
    the whole batch. (Under XLA the numbers are others, and the promise holds among XLA runs on one device.)

    Args:
        batch_size: examples B on this replica; a Python int or an integer scalar tensor.
        shape: shape of one example's noise, all sizes known.
        seed: what tells one run from another.
        step: the training step, for example `optimizer.iterations`; a Python int or an integer scalar tensor.
        distribution: `"normal"` is N(0, 1), `"uniform"` is U[minval, maxval).
        minval: lower end of the uniform distribution.
        maxval: upper end of the uniform distribution.
        stream: tells apart several draws of one step, such as the latent noise and the binarisation of the
            images.
        first_index: index of the global batch's first example, where examples are counted through a whole
            data set in place of one batch; a Python int or a scalar tensor.

    Returns:
        A float32 tensor of shape (B, *shape).

    Raises:
        ValueError: `distribution` is neither name, or `maxval` is not above `minval`.

    Reference: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
    """
    check_choice("distribution", distribution, "normal", "uniform")
    if not minval < maxval:
        raise ValueError(
            f"minval, maxval: expected minval < maxval, got minval={minval} and maxval={maxval}. "
            "Swap or widen them."
        )
    size = math.prod(shape)
    blocks = -(-size // _WORDS)  # counter values that belong to one example
    batch_size = tf.cast(batch_size, tf.int64)
    seeds = tf.stack([tf.constant(seed, tf.int64), tf.cast(tf.convert_to_tensor(step), tf.int64)])
    key, counter = _key_and_counter(tf.random.fold_in(seeds, tf.constant(stream, tf.int64)))
    first = tf.cast(first_index, tf.int64) + _first_example_index(batch_size)
    counter += tf.stack(
        [tf.cast(first * blocks, tf.uint64), tf.zeros((), tf.uint64)]
    )  # the low word starts at 0, so it cannot overflow
    draw = (
        tf.raw_ops.StatelessRandomNormalV2
        if distribution == "normal"
        else tf.raw_ops.StatelessRandomUniformV2
    )
    philox = tf.constant(tf.random.Algorithm.PHILOX.value)
    noise = draw(shape=tf.stack([batch_size, blocks * _WORDS]), key=key, counter=counter, alg=philox)
    noise = tf.reshape(noise[:, :size], tf.concat([[batch_size], tf.cast(shape, tf.int64)], axis=0))
    noise = tf.ensure_shape(noise, [None, *shape])
    return noise if distribution == "normal" else minval + (maxval - minval) * noise


def _key_and_counter(seeds: Any) -> tuple[Any, Any]:
    pair = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seeds)
    return pair.key, pair.counter


def _first_example_index(batch_size: Any) -> Any:
    """Where this replica's examples begin in the global batch; the last batch may be shared unequally."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tf.zeros((), tf.int64)
    replica = context.replica_id_in_sync_group
    mine = tf.one_hot(replica, context.num_replicas_in_sync, dtype=tf.int64) * batch_size
    sizes = context.all_reduce(tf.distribute.ReduceOp.SUM, mine)
    return tf.reduce_sum(sizes[:replica])


class _NoiseLayer(keras.layers.Layer):
    """A layer that draws noise keyed on its seed and on its count of training calls.

    The count is saved among the weights, so that a resumed training continues the sequence (the state of
    Keras's own seed generators is not saved).
    """

    step: Any = None

    def __init__(self, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = check_int("seed", seed, 0)

    def _count_steps(self) -> None:
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )

    def _draw(
        self,
        like: Any,
        training: bool,
        distribution: Literal["normal", "uniform"],
        shape: Sequence[int] | None = None,
    ) -> Any:
        """Noise for each example of `like`, of that shape or of its own."""
        noise = stateless_noise(
            ops.shape(like)[0],
            like.shape[1:] if shape is None else shape,
            seed=self.seed,
            step=self.step.value,
            distribution=distribution,
        )
        if training:
            self.step.assign_add(1)
        return noise

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("keras_dl")
class GaussianSampling(_NoiseLayer):
    """A differentiable sample of a diagonal Gaussian (the reparameterisation trick).

        z = mu + sigma * epsilon,  sigma = exp(log_variance / 2),  epsilon ~ N(0, I)

    The randomness sits in epsilon alone, so gradients reach mu and sigma. Epsilon is the third input, where
    there is one: that is how an exported function stays a function. With two inputs the layer draws it by
    `stateless_noise`, keyed on its seed and its count of training calls, which is saved.

    Args:
        seed: seed of the drawn noise.

    Inputs:
        `(mean, log_variance)` or `(mean, log_variance, epsilon)`: mean and log_variance (B, Z); epsilon (B,
        Z), or any shape that broadcasts against them, such as (K, B, Z) for K samples.

    Output:
        z, shape (B, Z) or what epsilon broadcasts it to.

    Raises:
        ValueError: another number of inputs.

    Reference: notes 4.1; Kingma and Welling, Auto-encoding variational Bayes (ICLR 2014), section 2.4.
    """

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) not in (2, 3):
            raise ValueError(
                "inputs: expected (mean, log_variance) or (mean, log_variance, epsilon), got "
                f"{len(input_shape)} tensors. Pass two or three tensors in a tuple."
            )
        if len(input_shape) == 2:
            self._count_steps()

    def call(self, inputs: Sequence[Any], training: bool = False) -> Any:
        mean, log_variance = inputs[:2]
        epsilon = inputs[2] if len(inputs) == 3 else self._draw(mean, training, "normal")
        return mean + ops.exp(0.5 * log_variance) * ops.cast(epsilon, mean.dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        shape = tuple(input_shape[0])
        if len(input_shape) == 2:
            return shape
        epsilon = tuple(input_shape[2])
        more = len(epsilon) - len(shape)
        return epsilon[:more] + tuple(
            drawn if size == 1 else size for drawn, size in zip(epsilon[more:], shape, strict=True)
        )


@keras.saving.register_keras_serializable("keras_dl")
class Dropout(_NoiseLayer):
    """Set a random share of the inputs to 0 in training, and scale up the rest.

        y = x m / (1 - rate),  m ~ Bernoulli(1 - rate) elementwise;  y = x outside training

    As `keras.layers.Dropout`, but its masks are `stateless_noise`: a resumed training draws those that an
    uninterrupted one would have drawn, and replicas draw their own.

    Args:
        rate: share of the inputs that is dropped, at least 0 and below 1.
        seed: tells the layers of a model apart: equal seeds drop equal units.

    Input: (B, ...), all sizes but the batch's known. Output: the same shape.

    Raises:
        ValueError: `rate` is out of its range.

    Reference: Srivastava et al., Dropout (JMLR 2014).
    """

    def __init__(self, rate: float, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = check_rate("rate", rate)

    def build(self, input_shape: Any) -> None:
        if self.rate:
            self._count_steps()

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or not self.rate:
            return inputs
        kept = self._draw(inputs, training, "uniform") >= self.rate
        return inputs * ops.cast(kept, inputs.dtype) / (1 - self.rate)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("keras_dl")
class RandomShift(_NoiseLayer):
    """Move each image by a whole number of pixels in training; what enters from outside is 0.

        y_{ij} = x_{i-a, j-b},  a, b ~ U{-s, ..., s} for each image;  y = x outside training

    A digit that is moved stays that digit, so a classifier sees more of them than the data hold. The moves
    are `stateless_noise`: a resumed training makes those of an uninterrupted one.

    Args:
        pixels: s, the largest move; 0 moves nothing.
        seed: of the moves.

    Input: images (B, H, W, C), all sizes but the batch's known. Output: the same shape.

    Raises:
        ValueError: `pixels` is negative, or the inputs are no images.

    Reference: Simard, Steinkraus and Platt, Best practices for convolutional neural networks (ICDAR 2003).
    """

    def __init__(self, pixels: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.pixels = check_int("pixels", pixels, 0)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 4:
            raise ValueError(
                f"inputs: expected images (B, H, W, C), got the shape {tuple(input_shape)}. Reshape them."
            )
        if self.pixels:
            self._count_steps()

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or not self.pixels:
            return inputs
        uniform = self._draw(inputs, training, "uniform", shape=(2,))
        corner = tf.cast(uniform * (2 * self.pixels + 1), tf.int32)  # s - a and s - b, in 0 ... 2 s
        margin = (self.pixels, self.pixels)
        image = tf.pad(inputs, ((0, 0), margin, margin, (0, 0)))
        height, width = inputs.shape[1:3]
        rows = corner[:, 0, None] + tf.range(height)  # (B, H)
        columns = corner[:, 1, None] + tf.range(width)  # (B, W)
        image = tf.gather(image, rows, axis=1, batch_dims=1)
        columns = tf.repeat(columns[:, None], height, axis=1)  # (B, H, W)
        return tf.gather(image, columns, axis=2, batch_dims=2)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pixels": self.pixels}
