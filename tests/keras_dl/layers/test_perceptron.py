from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_dl.layers import Heaviside


def test_the_step_is_taken_at_0() -> None:
    np.testing.assert_array_equal(Heaviside()(tf.constant([-1.0, -1e-6, 0.0, 2.0])), [0, 0, 1, 1])


def test_two_steps_make_a_bump() -> None:
    x = tf.linspace(-1.0, 2.0, 301)
    bump = Heaviside()(x) - Heaviside()(x - 1)
    np.testing.assert_array_equal(bump, (x >= 0) & (x < 1))


def test_no_gradient_passes() -> None:
    x = tf.constant([1.0, -1.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = Heaviside()(x)
    assert tape.gradient(y, x) is None
