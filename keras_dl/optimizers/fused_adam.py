"""Adam with one fused operation per variable, and the step count of any optimizer."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_dl.replicas import replica_count, replica_sum


@keras.saving.register_keras_serializable("keras_dl")
class Adam(keras.optimizers.Adam):
    """Keras's Adam with one fused operation per variable.

        m <- beta_1 m + (1 - beta_1) g
        v <- beta_2 v + (1 - beta_2) g^2
        w <- w - learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)

    One pass over memory replaces about fifteen, which saves a tenth of a training step on a CPU for models
    with millions of weights. Everything else (clipping, weight decay, averaging, schedules, scaling) is
    Keras's, except that replicas of a `tf.distribute` strategy clip the gradient of the global batch, whereas
    Keras clips the gradient of each replica. Sparse gradients, `amsgrad` and 16-bit weights use Keras's
    implementation.

    Args:
        *args: arguments of `keras.optimizers.Adam`.
        **kwargs: keyword arguments of `keras.optimizers.Adam`.

    Reference: Kingma and Ba, Adam (ICLR 2015).
    """

    _reduced = False

    def _backend_apply_gradients(self, grads: Any, trainable_variables: Any) -> None:
        clips = self.clipnorm or self.global_clipnorm or self.clipvalue
        if not clips or replica_count() == 1 or tf.distribute.in_cross_replica_context():
            super()._backend_apply_gradients(grads, trainable_variables)
            return
        self._reduced = True
        try:
            super()._backend_apply_gradients(replica_sum(list(grads)), trainable_variables)
        finally:
            self._reduced = False

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        pairs = list(grads_and_vars)
        return pairs if self._reduced else super()._all_reduce_sum_gradients(pairs)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self.amsgrad or isinstance(gradient, tf.IndexedSlices) or variable.dtype != tf.float32:
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        step = ops.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, tf.float32),
        )


def steps_done(optimizer: Any) -> Any:
    """Return the number of training steps so far, an int64 tensor.

    This is not `iterations`, which counts updates and is constant while gradients are accumulated
    (`gradient_accumulation_steps`): noise determined by it would be the same in all steps of an update.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # inside a LossScaleOptimizer
    return optimizer._iterations.value  # there is no public attribute
