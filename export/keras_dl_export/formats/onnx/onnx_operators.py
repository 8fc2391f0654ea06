"""TensorFlow's operators that tf2onnx lacks, or converts to other numbers, as ONNX nodes."""

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
    """Keep tf2onnx from converting a loop to an LSTM or a GRU node.

    It recognizes a loop by some of its operators: a cell with one more operation, the only kind that is a
    loop here, would lose that operation.
    """

    def replace(kept: Any) -> Callable[[Any, Any], Any]:
        return lambda graph, operators: operators

    with patched(tfonnx, "rewriter_lstm_tf2", replace), patched(tfonnx, "rewrite_gru_tf2", replace):
        yield
