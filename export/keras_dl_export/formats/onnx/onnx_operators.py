"""ONNX forms of TensorFlow operators that tf2onnx does not support or converts to different numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tf2onnx import tfonnx

from keras_dl_export.formats.onnx.onnx_arrays import ARRAYS
from keras_dl_export.formats.onnx.onnx_colors import COLORS
from keras_dl_export.formats.onnx.onnx_nodes import Handler
from keras_dl_export.formats.onnx.onnx_numbers import NUMBERS
from keras_dl_export.formats.onnx.onnx_recurrent import RECURRENT_OPERATORS
from keras_dl_export.lowering.patching import patched

OPERATORS: dict[str, Handler] = {**ARRAYS, **COLORS, **NUMBERS, **RECURRENT_OPERATORS}


@contextlib.contextmanager
def loops_as_they_are() -> Iterator[None]:
    """Disable tf2onnx's conversion of loops to LSTM and GRU nodes.

    It matches only some of the loop's operators. Here, only a cell with additional operators is still a loop,
    and the conversion would drop them.
    """

    def replace(kept: Any) -> Callable[[Any, Any], Any]:
        return lambda graph, operators: operators

    with patched(tfonnx, "rewriter_lstm_tf2", replace), patched(tfonnx, "rewrite_gru_tf2", replace):
        yield
