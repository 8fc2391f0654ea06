"""Recurrent layers of TFLite's builtin operators, which keep no state between calls.

Shapes: B batch, T time, D features, H units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from keras_dl_export.formats.tflite.tflite_operators import TFLITE_OPERATORS
from keras_dl_export.formats.tflite.tflite_steps import Result, Step, Steps, loop, write_out
from keras_dl_export.lowering.operators import Replacements
from keras_dl_export.lowering.recurrent import Recurrence

Tensor = Any

# Unrolled steps have no loop overhead, but the runtime keeps a copy of the recurrent weights for each step
# (XNNPACK packs them per operator). If the copies exceed the cache, the loop is faster, because its steps
# share one copy. In us, batch 1, one thread (AMD EPYC, 1 MB L2 per core):
#
#     layer, steps                      bytes x steps      unrolled   loop
#     LSTM 16,  28, last output                0.1 MB            12     26
#     LSTM 64,  28, last output                1.8 MB            41     50
#     LSTM 64, 100, last output | all          6.6 MB     160 | 167    170 | 255
#     LSTM 128, 28, last output                7.3 MB           106    105
#     LSTM 64, 400, last output | all           26 MB   2530 | 2827    651 | 1078
#     LSTM 256, 28, last output                 29 MB           754    389
#     RNN 64, 28 | 100 | 400, last      0.5|1.6|6.6 MB   9 | 41 | 181   21 | 67 | 253
#     GRU 64, 28 | 100 | 400, last      1.4|4.9|20 MB  39 | 211 | 2920  51 | 217 | 658
#
# The file grows by about 190 bytes per operator. LSTM of 64 units: 158 KB for 28 steps, 316 KB for 100, 1006
# KB for 400, against 103 KB for the loop. Simple RNN: 83 KB for 100 steps, 264 KB for 400, against 29 KB.
_MOST_WEIGHT_BYTES = 8 * 2**20
_MOST_OPERATORS = 1500
_MOST_CALIBRATED_OPERATORS = 6000
_OPERATORS = {"rnn": 3, "lstm": 12, "gru": 11, "other": 15}  # per step


@dataclass(frozen=True)
class TFLiteRecurrent:
    """A writer of recurrent layers for TFLite, for `recurrent_layers`, and the operators to replace.

    Attributes:
        calibrated: whether the file is for int8. Every tensor is then calibrated separately, so steps are
            unrolled up to a higher limit; and a nested loop crashes the converter.
        operators: the replacements of operators that TFLite computes differently.
        float32_only: whether the target cannot compute in 16-bit floats.
    """

    calibrated: bool = False
    operators: Replacements = field(default_factory=lambda: TFLITE_OPERATORS, repr=False)
    float32_only: bool = True

    def __call__(self, recurrence: Recurrence) -> Result:
        """Write a recurrence whose equations are known."""
        inputs, step = _CELLS[recurrence.cell](recurrence)
        steps = Steps(
            step,
            inputs,
            recurrence.initial_state,
            zero_states=all(map(is_zero, recurrence.initial_state)),
            output_is_state=True,
            mask=recurrence.mask,
            go_backwards=recurrence.go_backwards,
            collect=recurrence.return_sequences,
            zero_output_for_mask=recurrence.zero_output_for_mask,
        )
        kernel = recurrence.recurrent_kernel
        return self._run(steps, recurrence.cell, math.prod(kernel.shape) * kernel.dtype.size)

    def loop(
        self, layer: Any, sequences: Tensor, initial_state: Any, mask: Tensor | None, training: bool
    ) -> tuple[Tensor, Tensor, Any]:
        """Run any other cell of `keras.layers.RNN` and return the results of the layer's `inner_loop`."""
        cell = layer.cell
        keywords = {"training": training} if getattr(cell, "_call_has_training_arg", False) else {}

        def step(inputs: Sequence[Tensor], states: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
            packed = keras.tree.pack_sequence_as(initial_state, list(states or ()))
            output, after = cell(keras.tree.pack_sequence_as(sequences, list(inputs)), packed, **keywords)
            return output, keras.tree.flatten(after)

        if mask is not None:
            mask = tf.cast(mask, "bool")
            mask = tf.squeeze(mask, -1) if len(mask.shape) == 3 else mask
        steps = Steps(
            step,
            keras.tree.flatten(sequences),
            keras.tree.flatten(initial_state),
            zero_states=False,
            output_is_state=False,
            mask=mask,
            go_backwards=layer.go_backwards,
            collect=layer.return_sequences,
            zero_output_for_mask=layer.zero_output_for_mask,
        )
        weights = getattr(cell, "weights", ())
        last, outputs, states = self._run(
            steps, "other", sum(math.prod(weight.shape) * weight.value.dtype.size for weight in weights)
        )
        outputs = tf.expand_dims(last, 1) if outputs is None else outputs
        return last, outputs, keras.tree.pack_sequence_as(initial_state, states)

    def _run(self, steps: Steps, cell: str, weight_bytes: int) -> Result:
        time = steps.inputs[0].shape[1]
        if time is None:
            return loop(steps, nested=not self.calibrated)
        operators = time * _OPERATORS[cell]
        if self.calibrated:
            short = operators <= _MOST_CALIBRATED_OPERATORS
        else:
            short = operators <= _MOST_OPERATORS and time * weight_bytes <= _MOST_WEIGHT_BYTES
        return write_out(steps) if short else loop(steps, nested=not self.calibrated)


def is_zero(state: Tensor) -> bool:
    """Return whether a tensor is known to be zero for every batch size."""
    while tf.is_symbolic_tensor(state) and state.op.type in ("Identity", "Cast", "Fill"):
        state = state.op.inputs[1 if state.op.type == "Fill" else 0]
    value = tf.get_static_value(state)
    return value is not None and not value.any()


def _rnn(recurrence: Recurrence) -> tuple[list[Tensor], Step]:
    U, g = recurrence.recurrent_kernel, recurrence.activation

    def step(inputs: Sequence[Tensor], states: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        (x,) = inputs
        h = g(x if states is None else x + tf.matmul(states[0], U))
        return h, [h]

    return [_project(recurrence.sequence, recurrence.kernel, recurrence.bias)], step


def _lstm(recurrence: Recurrence) -> tuple[list[Tensor], Step]:
    U, g, f = recurrence.recurrent_kernel, recurrence.activation, recurrence.recurrent_activation
    assert f is not None

    def step(inputs: Sequence[Tensor], states: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        (x,) = inputs
        gates = x if states is None else x + tf.matmul(states[0], U)
        i, forget, candidate, o = tf.split(gates, 4, axis=-1)
        C = f(i) * g(candidate)
        C = C if states is None else f(forget) * states[1] + C
        h = f(o) * g(C)
        return h, [h, C]

    return [_project(recurrence.sequence, recurrence.kernel, recurrence.bias)], step


def _gru(recurrence: Recurrence) -> tuple[list[Tensor], Step]:
    """Write a GRU. The products of x for z, r and for h~ are separate, so that no step has to split them."""
    W, U, H = recurrence.kernel, recurrence.recurrent_kernel, recurrence.units
    g, f, b = recurrence.activation, recurrence.recurrent_activation, recurrence.bias
    assert f is not None
    after = recurrence.reset_after
    gates_bias = candidate_bias = reset_bias = None
    if b is not None:
        gates_bias, candidate_bias = (b[0] + b[1] if after else b)[: 2 * H], (b[0] if after else b)[2 * H :]
        reset_bias = b[1][2 * H :] if after else None
    U_gates, U_candidate = U[:, : 2 * H], U[:, 2 * H :]

    def candidate_of(x: Tensor, r: Tensor, h: Tensor | None) -> Tensor:
        if not after:
            return g(x if h is None else x + tf.matmul(r * h, U_candidate))
        seen = None if h is None else tf.matmul(h, U_candidate)
        if reset_bias is not None:
            seen = reset_bias if seen is None else seen + reset_bias
        return g(x if seen is None else x + r * seen)

    def step(inputs: Sequence[Tensor], states: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        x_gates, x_candidate = inputs
        h = None if states is None else states[0]
        z, r = tf.split(f(x_gates if h is None else x_gates + tf.matmul(h, U_gates)), 2, axis=-1)
        candidate = candidate_of(x_candidate, r, h)
        # z h + (1 - z) h~ with one product fewer
        h = candidate - z * candidate if h is None else candidate + z * (h - candidate)
        return h, [h]

    x = recurrence.sequence
    return [_project(x, W[:, : 2 * H], gates_bias), _project(x, W[:, 2 * H :], candidate_bias)], step


def _project(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Return x W + b for all steps at once."""
    product = tf.matmul(x, kernel)
    return product if bias is None else product + bias


_CELLS = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}
