"""Batch normalisation in one operation."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("keras_dl")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation, its training pass on images as one fused operation each way.

        y = gamma (x - mean) / sqrt(variance + epsilon) + beta

    mean and variance are each channel's over the batch, height and width; their moving averages take the
    place at inference. The numbers are those of `keras.layers.BatchNormalization`, whose dozen operations
    take two to three times as long on a CPU.

    Arguments are those of `keras.layers.BatchNormalization`.

    Input: (B, H, W, C). Output: the same shape. Other shapes, axes and options go Keras's way.

    Reference: Ioffe and Szegedy, Batch normalization (ICML 2015).
    """

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if not (training and self.trainable and mask is None and self._fits_the_operation(inputs)):
            return super().call(inputs, training=training, mask=mask)
        x = ops.cast(inputs, "float32")
        output, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x,
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            epsilon=self.epsilon,
            is_training=True,
        )
        count = ops.cast(ops.size(x) // x.shape[-1], "float32")
        variance = variance * (count - 1.0) / count  # the operation's divides by one less
        for average, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + now * (1.0 - self.momentum))
        return ops.cast(output, self.compute_dtype)

    def _fits_the_operation(self, inputs: Any) -> bool:
        return (
            len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.gamma is not None
            and self.beta is not None
            and self.variable_dtype == "float32"
            and not (self.renorm or self.synchronized)
        )
