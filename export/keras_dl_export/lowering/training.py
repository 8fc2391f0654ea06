"""Layers that a model calls as in training, whatever it is itself called for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras

_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def training_calls(note: Callable[[str, str], None]) -> Iterator[None]:
    """Tell of each layer that is called with `training=True`, in this thread alone.

    Args:
        note: called with the name of every such layer and a remark.
    """
    thread = threading.get_ident()
    with _one_at_a_time:
        kept = keras.layers.Layer.__call__

        def call(layer: Any, *arguments: Any, **named: Any) -> Any:
            heeds = getattr(layer, "_call_has_training_arg", False)
            if named.get("training") is True and heeds and threading.get_ident() == thread:
                note(layer.name, "the model calls it with training=True, and so does the file")
            return kept(layer, *arguments, **named)

        keras.layers.Layer.__call__ = call
        try:
            yield
        finally:
            keras.layers.Layer.__call__ = kept
