"""`TimeDistributed`, traced once over all steps if possible, and an error if Keras traces it wrongly.

Shapes: B batch, T the distributed time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_dl_export.lowering.patching import patched


@contextlib.contextmanager
def known_time() -> Iterator[None]:
    """Raise an error if the length of the time is unknown: Keras's graph would iterate over the batch.

    Keras traces a recurrent layer T times. Its examples are independent, so here the steps become examples
    and the layer is traced once.
    """

    def replace(kept: Callable[..., Any]) -> Callable[..., Any]:
        def call(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            if tf.executing_eagerly():
                return kept(layer, inputs, training=training, mask=mask)
            if inputs.shape[1] is None:
                raise ValueError(
                    f"Keras traces {layer.name!r} wrongly, because the length of its time is unknown. Give "
                    "the input a fixed length, keras.Input((time, ...)), or call the layer itself on the "
                    "sequence if it supports sequences, as Dense does."
                )
            maskable = mask is None or len(mask.shape) > 2
            if training or not maskable or not _is_recurrent(layer.layer):
                return kept(layer, inputs, training=training, mask=mask)
            outputs = layer.layer.call(
                _join(inputs, 2, []), mask=None if mask is None else _join(mask, 2, [])
            )
            return _join(outputs, 1, [inputs.shape[1]])

        return call

    with patched(keras.layers.TimeDistributed, "call", replace):
        yield


def _is_recurrent(layer: Any) -> bool:
    """Return whether a layer is a recurrent layer of Keras with one output."""
    if isinstance(layer, keras.layers.Bidirectional):
        return layer.merge_mode is not None and _is_recurrent(layer.forward_layer)
    return isinstance(layer, keras.layers.RNN) and not layer.return_state


def _join(tensor: Any, leading: int, sizes: list[int]) -> Any:
    """Replace the first axes by one axis of the remaining size and `sizes`."""
    rest = enumerate(tensor.shape[leading:], leading)
    known = [tf.shape(tensor)[axis] if size is None else size for axis, size in rest]
    return tf.reshape(tensor, [-1, *sizes, *known])
