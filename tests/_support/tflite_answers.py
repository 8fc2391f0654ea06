"""Functions written to one TFLite file and run in the stock interpreter."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from keras_dl_export import to_tflite

Columns = Mapping[str, np.ndarray]

INF, NAN = np.inf, np.nan
WIDE = np.int64([0, 1, -1, 7, -7, 2**24 + 1, -(2**24) - 1, 2**31, 2**40 + 1, -(2**53) - 1, 2**62 + 3])


class Own(layers.Layer):
    """A layer whose `call` is plain TensorFlow."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, *tensors: Any) -> Any:
        return self.function(*tensors)


def answers(
    path: Path, columns: Columns, functions: Mapping[str, Callable[..., Any]]
) -> dict[str, np.ndarray]:
    """Write one file of many functions of the same columns, and run it in the stock interpreter."""
    inputs = {
        name: keras.Input(array.shape[1:], dtype=array.dtype.name, name=name)
        for name, array in columns.items()
    }
    model = keras.Model(inputs, {name: function(*inputs.values()) for name, function in functions.items()})
    to_tflite(model, path, inputs=columns)
    outputs: Columns = Interpreter(str(path)).get_signature_runner()(**columns)
    return outputs
