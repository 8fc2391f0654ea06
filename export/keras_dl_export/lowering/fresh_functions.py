"""A model's own `tf.function`s, traced again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from keras_dl_export.lowering.patching import patched


@contextlib.contextmanager
def fresh_functions(*, compiled: bool = True) -> Iterator[None]:
    """Trace a copy of every `tf.function` that is called, in this thread only.

    A `tf.function` caches its graphs. A graph cached from an earlier call of the model would hide its layers
    from the target, and a graph traced for a target would be used when the model itself is called.

    Args:
        compiled: whether functions with `jit_compile=True`, such as Keras's grouped convolutions, keep it.
            A converter sees each as one unknown operator, but TensorFlow cannot run some without XLA.
    """

    def replace(kept: Callable[..., Any]) -> Callable[..., Any]:
        def call(function: Any, *arguments: Any, **named: Any) -> Any:
            function = function._clone(None)
            if not compiled:
                function._jit_compile = None
            return kept(function, *arguments, **named)

        return call

    with patched(type(tf.function(lambda: None)), "__call__", replace):
        yield
