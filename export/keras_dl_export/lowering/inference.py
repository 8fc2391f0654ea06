"""Layers as an exported file can run them: no draw that is not used, and no memory between calls."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras.src.layers.preprocessing.image_preprocessing.base_image_preprocessing_layer import (
    BaseImagePreprocessingLayer,
)
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def at_inference(note: Callable[[str, str], None] | None = None) -> Iterator[None]:
    """Let recurrent and augmenting layers leave their model as it is.

    Keras draws dropout masks and random transformations of images even where it does not use them, which
    advances the model's generators and puts random operators into a graph. And a stateful layer goes on from
    where the last call ended: a file serves many callers, so every call begins as after `reset_state()` here,
    the model's own answers included.

    Args:
        note: called with the name of every stateful layer and what becomes of it.
    """
    drawn = threading.local()

    def call(
        layer: Any, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        before, stateful = getattr(drawn, "spare", False), layer.stateful
        if stateful and note is not None:
            note(layer.name, "it is stateful, but a file is not: each call begins as after reset_state()")
        drawn.spare, layer.stateful = not training, False
        try:
            return kept[0](layer, sequences, initial_state, mask, training)
        finally:
            drawn.spare, layer.stateful = before, stateful

    def create_dropout_mask(cell: Any, step_input: Any, dropout_rate: float) -> Any:
        return None if getattr(drawn, "spare", False) else kept[1](cell, step_input, dropout_rate)

    def augment(layer: Any, data: Any, training: bool = True) -> Any:
        if training or not hasattr(layer, "generator"):
            return kept[2](layer, data, training=training)
        layer.get_random_transformation = lambda *_, **__: None
        try:
            return kept[2](layer, data, training=training)
        finally:
            del layer.get_random_transformation

    augmenting = BaseImagePreprocessingLayer
    with _one_at_a_time:
        kept = keras.layers.RNN.call, DropoutRNNCell._create_dropout_mask, augmenting.call
        keras.layers.RNN.call, DropoutRNNCell._create_dropout_mask = call, create_dropout_mask
        augmenting.call = augment
        try:
            yield
        finally:
            keras.layers.RNN.call, DropoutRNNCell._create_dropout_mask, augmenting.call = kept
