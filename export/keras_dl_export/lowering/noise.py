"""Random numbers of hidden generators, replaced by their means."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import keras.src.backend.tensorflow.random as of_keras
import tensorflow as tf
from tensorflow.python.ops import gen_random_ops as of_tensorflow
from tensorflow.python.ops import nn_ops

from keras_dl_export.lowering.patching import patched


@contextlib.contextmanager
def mean_noise(note: Callable[[str, str], None] | None = None) -> Iterator[None]:
    """Replace every draw from a hidden generator by the mean of its distribution, in this thread only.

    A normal becomes its mean, a uniform its midpoint, a dropout its input. Draws with a given seed, a number
    or a tensor, are functions of the seed and stay; so do categorical draws and shuffles, which have no mean.

    Args:
        note: called with the scope of every draw and a remark.
    """

    def replace(mean: Callable[..., Any], is_hidden: Any, draw: Callable[..., Any]) -> Callable[..., Any]:
        def replaced(*arguments: Any, **named: Any) -> Any:
            if not is_hidden(named):
                return draw(*arguments, **named)
            if note is not None and not tf.executing_eagerly():
                note(tf.get_current_name_scope(), "its random numbers are replaced by their mean")
            return mean(*arguments, **named)

        return replaced

    with contextlib.ExitStack() as stack:
        for owner, name, mean, is_hidden in _draws():
            stack.enter_context(patched(owner, name, partial(replace, mean, is_hidden)))
        yield


def _draws() -> Iterator[tuple[Any, str, Callable[..., Any], Callable[[dict[str, Any]], bool]]]:
    """Yield the owner and name of each kind of draw, its mean, and a test for a hidden seed."""

    def fill(shape: Any, value: Any, dtype: Any) -> Any:
        return tf.broadcast_to(tf.cast(value, dtype or keras.config.floatx()), shape)

    def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, **_: Any) -> Any:
        return fill(shape, mean, dtype)

    def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, **_: Any) -> Any:
        return fill(shape, (minval + maxval) / 2, dtype)

    def integer(shape: Any, minval: Any, maxval: Any, dtype: Any = None, **_: Any) -> Any:
        return fill(shape, (minval + maxval - 1) // 2, dtype or tf.convert_to_tensor(minval).dtype)

    def gamma(shape: Any, alpha: Any, dtype: Any = None, **_: Any) -> Any:
        return fill(shape, alpha, dtype)

    def same(x: Any, *_: Any, **__: Any) -> Any:
        return x

    def has_no_seed(named: dict[str, Any]) -> bool:
        return named.get("seed") is None or isinstance(named["seed"], keras.random.SeedGenerator)

    def always(named: dict[str, Any]) -> bool:
        return True

    yield of_keras, "normal", normal, has_no_seed
    yield of_keras, "truncated_normal", normal, has_no_seed
    yield of_keras, "uniform", uniform, has_no_seed
    yield of_keras, "randint", integer, has_no_seed
    yield of_keras, "gamma", gamma, has_no_seed
    yield of_keras, "dropout", same, has_no_seed
    for name in ("random_standard_normal", "truncated_normal"):
        yield of_tensorflow, name, lambda shape, dtype, **_: fill(shape, 0.0, dtype), always
    yield of_tensorflow, "random_uniform", lambda shape, dtype, **_: fill(shape, 0.5, dtype), always
    yield of_tensorflow, "random_uniform_int", integer, always
    yield nn_ops, "_dropout", lambda x, **_: x, always
    for name, mean in (("normal", normal), ("truncated_normal", normal), ("uniform", uniform)):
        yield tf.random.Generator, name, _method(mean), always


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, *arguments, **named: function(*arguments, **named)
