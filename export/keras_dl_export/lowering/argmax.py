"""`keras.ops.argmax` and `argmin` without bit operations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras.src.backend.tensorflow.numpy as backend
import tensorflow as tf

from keras_dl_export.lowering.patching import patched


@contextlib.contextmanager
def plain_argmax() -> Iterator[None]:
    """Trace Keras's `argmax` and `argmin` as one TensorFlow operator each.

    Keras orders -0.0 below 0.0 by the sign bit, which neither TFLite nor ONNX supports. The operators treat
    the two as equal and return the first, as NumPy does.
    """
    with (
        patched(backend, "argmax", lambda kept: _plain(tf.argmax)),
        patched(backend, "argmin", lambda kept: _plain(tf.argmin)),
    ):
        yield


def _plain(operator: Callable[..., Any]) -> Callable[..., Any]:
    def take(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        x = tf.convert_to_tensor(x)
        rank = x.shape.rank
        index = operator(tf.reshape(x, [-1]) if axis is None else x, axis=axis or 0, output_type=tf.int32)
        if not keepdims:
            return index
        return tf.reshape(index, [1] * rank) if axis is None else tf.expand_dims(index, axis)

    return take
