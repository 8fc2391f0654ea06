"""Layers as an exported file runs them: without unused random draws and without state between calls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras.src.layers.preprocessing.image_preprocessing.base_image_preprocessing_layer import (
    BaseImagePreprocessingLayer,
)
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

from keras_dl_export.lowering.patching import patched


@contextlib.contextmanager
def at_inference(note: Callable[[str, str], None] | None = None) -> Iterator[None]:
    """Run recurrent and augmentation layers without changing their model.

    Keras draws dropout masks and random image transformations even if it does not use them, which advances
    the model's generators and adds random operators to a graph. A stateful layer continues from the last
    call. A file serves many callers, so here every call starts as after `reset_state()`, also in the
    reference outputs of the model.

    Args:
        note: called with the name of every stateful layer and a remark.
    """
    spare = False  # whether what a recurrent layer draws is not used

    def call_from_the_start(kept: Callable[..., Any]) -> Callable[..., Any]:
        def call(
            layer: Any, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
        ) -> Any:
            nonlocal spare
            before, stateful = spare, layer.stateful
            if stateful and note is not None:
                note(layer.name, "it is stateful, but a file is not: each call starts as after reset_state()")
            spare, layer.stateful = not training, False
            try:
                return kept(layer, sequences, initial_state, mask, training)
            finally:
                spare, layer.stateful = before, stateful

        return call

    def draw_no_mask(kept: Callable[..., Any]) -> Callable[..., Any]:
        def create_dropout_mask(cell: Any, step_input: Any, dropout_rate: float) -> Any:
            return None if spare else kept(cell, step_input, dropout_rate)

        return create_dropout_mask

    def draw_no_transformation(kept: Callable[..., Any]) -> Callable[..., Any]:
        def augment(layer: Any, data: Any, training: bool = True) -> Any:
            if training or not hasattr(layer, "generator"):
                return kept(layer, data, training=training)
            layer.get_random_transformation = lambda *_, **__: None
            try:
                return kept(layer, data, training=training)
            finally:
                del layer.get_random_transformation

        return augment

    with (
        patched(keras.layers.RNN, "call", call_from_the_start),
        patched(DropoutRNNCell, "_create_dropout_mask", draw_no_mask),
        patched(BaseImagePreprocessingLayer, "call", draw_no_transformation),
    ):
        yield
