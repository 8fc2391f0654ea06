"""Layers that a model always calls with `training=True`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_dl_export.lowering.patching import patched


@contextlib.contextmanager
def training_calls(note: Callable[[str, str], None]) -> Iterator[None]:
    """Report each layer that is called with `training=True`, in this thread only.

    Args:
        note: called with the name of every such layer and a remark.
    """

    def replace(kept: Callable[..., Any]) -> Callable[..., Any]:
        def call(layer: Any, *arguments: Any, **named: Any) -> Any:
            if named.get("training") is True and getattr(layer, "_call_has_training_arg", False):
                note(layer.name, "the model calls it with training=True, and so does the file")
            return kept(layer, *arguments, **named)

        return call

    with patched(keras.layers.Layer, "__call__", replace):
        yield
