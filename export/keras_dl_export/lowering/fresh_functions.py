"""A model's own `tf.function`s, traced afresh."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from keras_dl_export.lowering.patching import patched


@contextlib.contextmanager
def fresh_functions(*, compiled: bool = True) -> Iterator[None]:
    """Trace a copy of every `tf.function` that is called, in this thread alone.

    A `tf.function` keeps its graphs. One that the model has used before would hide its layers from the
    target, and one traced for a target would come back when the model itself is called.

    Args:
        compiled: whether functions for XLA, such as Keras's grouped convolutions, stay compiled.
            Converters see one unknown operator in each; TensorFlow itself can run some in no other way.
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
