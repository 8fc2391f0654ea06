"""Random noise and the layers that draw it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

from keras_dl.arguments import check_choice, check_rate
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
    """Return noise that depends only on seed, step, stream and each example's index in the global batch.

    Every example has its own range of the counter of a counter-based generator (Philox), addressed by its
    index. Two runs draw the same numbers at the same step, even if one of them was interrupted, and the
    replicas of a `tf.distribute` strategy together draw exactly the numbers that one device draws for the
    whole batch. (XLA draws other numbers; the guarantee then holds between XLA runs on one device.)

    Args:
        batch_size: examples B on this replica; a Python int or an integer scalar tensor.
        shape: shape of one example's noise, all sizes known.
        seed: distinguishes runs.
        step: the training step, for example `optimizer.iterations`; a Python int or an integer scalar tensor.
        distribution: `"normal"` is N(0, 1), `"uniform"` is U[minval, maxval).
        minval: lower end of the uniform distribution.
        maxval: upper end of the uniform distribution.
        stream: distinguishes several draws in one step, such as the latent noise and the binarization of the
            images.
        first_index: index of the first example of the global batch, if examples are counted across a whole
            data set instead of within one batch; a Python int or a scalar tensor.

    Returns:
        A float32 tensor of shape (B, *shape).

    Raises:
        ValueError: `distribution` is unknown, or `maxval` is not above `minval`.

    Reference: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
    """
    check_choice("distribution", distribution, "normal", "uniform")
    if not minval < maxval:
        raise ValueError(
            f"minval, maxval: expected minval < maxval, got minval={minval} and maxval={maxval}. "
            "Pass a larger maxval."
        )
    size = math.prod(shape)
    blocks = -(-size // _WORDS)  # counter values per example
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
    """Return the index in the global batch of this replica's first example; replicas may differ in size."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tf.zeros((), tf.int64)
    replica = context.replica_id_in_sync_group
    mine = tf.one_hot(replica, context.num_replicas_in_sync, dtype=tf.int64) * batch_size
    sizes = context.all_reduce(tf.distribute.ReduceOp.SUM, mine)
    return tf.reduce_sum(sizes[:replica])


class _NoiseLayer(keras.layers.Layer):
    """A layer that draws noise determined by its seed and its count of training calls.

    The count is saved with the weights, so that resumed training continues the sequence (the state of
    Keras's seed generators is not saved).
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
        """Return noise for each example of `like`, of the given shape or else the shape of the example."""
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
    """A differentiable sample of a diagonal Gaussian (the reparameterization trick).

        z = mu + sigma * epsilon,  sigma = exp(log_variance / 2),  epsilon ~ N(0, I)

    Only epsilon is random, so gradients reach mu and sigma. The optional third input is epsilon, which keeps
    an exported function deterministic. With two inputs the layer draws epsilon with `stateless_noise`,
    determined by its seed and its count of training calls, which is saved with the weights.

    Args:
        seed: seed of the noise.

    Inputs:
        `(mean, log_variance)` or `(mean, log_variance, epsilon)`: mean and log_variance (B, Z); epsilon (B,
        Z), or any shape that broadcasts against them, such as (K, B, Z) for K samples.

    Output:
        z, of shape (B, Z) or the shape that epsilon broadcasts it to.

    Raises:
        ValueError: the number of inputs is not 2 or 3.

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
    """A layer that sets a random fraction of its inputs to 0 in training and scales up the rest.

        y = x m / (1 - rate),  m ~ Bernoulli(1 - rate) elementwise;  y = x outside training

    This is `keras.layers.Dropout` with masks from `stateless_noise`: resumed training draws the masks of
    uninterrupted training, and each replica draws its own.

    Args:
        rate: fraction of the inputs that is dropped, at least 0 and below 1.
        seed: seed of the masks; layers with equal seeds drop equal units.

    Input: (B, ...), all sizes except the batch size known. Output: the same shape.

    Raises:
        ValueError: `rate` is out of range.

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
        mask = self._draw(inputs, training, "uniform") >= self.rate
        return inputs * ops.cast(mask, inputs.dtype) / (1 - self.rate)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("keras_dl")
class RandomShift(_NoiseLayer):
    """A layer that shifts each image by a whole number of pixels in training and fills with 0.

        y_{ij} = x_{i-a, j-b},  a, b ~ U{-s, ..., s} for each image;  y = x outside training

    The class of an image does not change, so the shifts augment the data of a classifier. They are drawn with
    `stateless_noise`: resumed training draws the shifts of uninterrupted training.

    Args:
        pixels: s, the largest shift; 0 disables it.
        seed: seed of the shifts.

    Input: images (B, H, W, C), all sizes except the batch size known. Output: the same shape.

    Raises:
        ValueError: `pixels` is negative, or the inputs are not images.

    Reference: Simard, Steinkraus and Platt, Best practices for convolutional neural networks (ICDAR 2003).
    """

    def __init__(self, pixels: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.pixels = check_int("pixels", pixels, 0)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 4:
            raise ValueError(
                f"inputs: expected images (B, H, W, C), got shape {tuple(input_shape)}. Reshape them."
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
