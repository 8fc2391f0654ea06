"""One UNIDIRECTIONAL_SEQUENCE_LSTM per layer, which keeps its state between calls.

It gives the smallest file and, in a runtime without XNNPACK, the fastest one. XNNPACK does not support the
operator and accelerates only the others. At 28 steps of 28 features, 64 units, batch 1 and one thread,
measured in turn by benchmarks/export.py:

                                     KB   with XNNPACK   without
    fused                            97          82 us     83 us
    unrolled                        159          41 us     91 us
    Keras's loop, dynamic batch     106          91 us    156 us
    Keras's loop, batch fixed at 1  104          67 us    130 us
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_dl_export.errors import ConversionError
from keras_dl_export.formats.tflite.tflite_recurrent import TFLiteRecurrent, is_zero
from keras_dl_export.formats.tflite.tflite_steps import Result
from keras_dl_export.lowering.recurrent import Recurrence

Tensor = Any

_CELL_STATE = "cell_state_of_fused."
FUSED_OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"
NOTE = (
    f"it is one {FUSED_OPERATOR}, which keeps its state between calls: reset the interpreter's variables "
    "before each call, as load_artifact does"
)


@dataclass(frozen=True)
class FusedLSTM(TFLiteRecurrent):
    """A writer of LSTMs as one fused operator each, and of other recurrent layers as `TFLiteRecurrent`."""

    def __call__(self, recurrence: Recurrence) -> Result:
        """Write a recurrence; raise an error for an LSTM that the operator would compute wrongly."""
        if recurrence.cell != "lstm":
            return super().__call__(recurrence)
        _refuse_other_equations(recurrence)
        recurrence.note(NOTE)
        return _fuse(recurrence)


def refuse_cell_states(function: Any) -> None:
    """Raise an error if a traced endpoint uses a fused LSTM's cell state, which the operator does not return.

    Raises:
        ConversionError: the cell state is used.
    """
    waiting = [tensor.op for tensor in function.graph.outputs]
    seen = set(waiting)
    while waiting:
        operation = waiting.pop()
        _, marked, layer = operation.name.partition(_CELL_STATE)
        if marked:
            raise _refusal(layer, "its cell state is used")
        new = {*(tensor.op for tensor in operation.inputs), *operation.control_inputs} - seen
        seen |= new
        waiting += new


def _refusal(layer_name: str, reason: str) -> ConversionError:
    return ConversionError(
        f"tflite: lstm='fused' would compute {layer_name!r} wrongly, because {reason}. Use lstm='exact'."
    )


def _refuse_other_equations(recurrence: Recurrence) -> None:
    reasons = {
        "its activation is not tanh": recurrence.activation is not keras.activations.tanh,
        "its recurrent activation is not sigmoid": (
            recurrence.recurrent_activation is not keras.activations.sigmoid
        ),
        "it has a mask": recurrence.mask is not None,
        "it has an initial state": not all(map(is_zero, recurrence.initial_state)),
    }
    for reason, holds in reasons.items():
        if holds:
            raise _refusal(recurrence.layer_name, reason)


def _fuse(recurrence: Recurrence) -> Result:
    """Write a function that TFLite's converter recognizes by name and attributes and replaces."""
    x = recurrence.sequence
    if recurrence.go_backwards:
        x = tf.reverse(x, [1])
    # The converter turns these two into the operator's variables. Zeros would be merged with the initial
    # zeros of other layers, and the operator would overwrite those.
    h, C = (tf.fill([x.shape[0], recurrence.units], 1e-30) for _ in range(2))
    bias = recurrence.bias
    if bias is None:
        bias = tf.zeros([4 * recurrence.units], x.dtype)

    def lstm(x: Tensor, h: Tensor, C: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor) -> Any:
        # The converter discards the body and uses only the shapes and the five results.
        i, f, candidate, o = tf.split(
            tf.matmul(x[:, 0], kernel) + tf.matmul(h, recurrent_kernel) + bias, 4, axis=-1
        )
        C = tf.sigmoid(f) * C + tf.sigmoid(i) * tf.tanh(candidate)
        h = tf.sigmoid(o) * tf.tanh(C)
        return h, tf.zeros_like(x[:, :, :1]) + h[:, None], h, C, tf.constant(1.0)

    function = tf.function(
        lstm,
        autograph=False,
        experimental_attributes={
            "api_implements": f"lstm_{uuid.uuid4()}",
            "time_major": False,
            "go_backwards": False,
        },
    )
    last, outputs, *_ = function(x, h, C, recurrence.kernel, recurrence.recurrent_kernel, bias)
    cell_state = tf.zeros_like(h, name=_CELL_STATE + recurrence.layer_name)
    return last, outputs if recurrence.return_sequences else None, [last, cell_state]
