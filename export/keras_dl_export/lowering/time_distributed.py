"""`TimeDistributed` over a time that is not known while it is traced."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def known_time() -> Iterator[None]:
    """Refuse the one case that Keras traces wrongly: its graph goes over the batch in place of the time."""
    import keras
    import tensorflow as tf

    kept = keras.layers.TimeDistributed.call

    def call(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if inputs.shape[1] is None and not tf.executing_eagerly():
            raise ValueError(
                f"Keras traces {layer.name!r} wrongly, because the length of its time is unknown. Give the "
                "input a fixed length, keras.Input((time, ...)), or call the layer itself on the sequence if "
                "it takes one, as Dense does."
            )
        return kept(layer, inputs, training=training, mask=mask)

    with _one_at_a_time:
        keras.layers.TimeDistributed.call = call
        try:
            yield
        finally:
            keras.layers.TimeDistributed.call = kept
