"""Recurrent layers as ONNX's own `RNN`, `LSTM` and `GRU`, one node each.

TensorFlow has no operator with the same arguments. Therefore the layer is traced as a marker, an operator
with any tensors and a text that describes the node; the conversion of the graph replaces the marker by the
node.

Shapes: B batch, T time, D features, H units, G gates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tf2onnx import utils

from keras_dl_export.lowering.recurrent import Inexpressible, Recurrence, Tensor

_OPERATORS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
_GATES = {"rnn": (0,), "lstm": (0, 3, 1, 2), "gru": (0, 1, 2)}  # Keras's i, f, C~, o are ONNX's i, o, f, C~
_MARKER = "PyFunc"
_PREFIX = "keras_dl_export: "  # of the marker's text; a model may contain other PyFuncs


def emit_onnx(recurrence: Recurrence) -> tuple[Tensor, Tensor | None, Sequence[Tensor]]:
    """Trace one native node; see `recurrent.Emitter`."""
    dtype = recurrence.sequence.dtype
    if dtype == tf.float64:
        raise Inexpressible("ONNX Runtime has no recurrent operators for float64")
    activations = _activations(recurrence)
    # The node always computes in float32: there is no other CPU kernel.
    sequence, *states = (tf.cast(x, tf.float32) for x in (recurrence.sequence, *recurrence.initial_state))
    steps = None if recurrence.mask is None else _Steps(recurrence.mask, recurrence.go_backwards)
    outputs, *finals = _trace_node(
        recurrence,
        activations,
        tf.transpose(sequence, [1, 0, 2]) if steps is None else steps.compact(sequence),
        None if steps is None else steps.lengths,
        states,
        "reverse" if recurrence.go_backwards and steps is None else "forward",
    )
    if steps is not None:
        finals = [
            tf.where(steps.any_valid, final, state) for final, state in zip(finals, states, strict=True)
        ]
        last = steps.last_output(finals[0], recurrence.zero_output_for_mask)
    else:
        last = finals[0]
    every = None
    if recurrence.return_sequences:
        every = tf.transpose(outputs, [1, 0, 2])
        if steps is not None:
            every = steps.spread(every, recurrence.zero_output_for_mask)
        elif recurrence.go_backwards:  # ONNX returns them in the order of time
            every = tf.reverse(every, [1])
        every = tf.cast(every, dtype)
    return tf.cast(last, dtype), every, [tf.cast(final, dtype) for final in finals]


class _Steps:
    """The valid steps of a mask, moved to the front of their sequences in the order in which they run."""

    def __init__(self, mask: Tensor, backwards: bool) -> None:
        self.mask = tf.reverse(mask, [1]) if backwards else mask
        time = tf.shape(mask)[1]
        position = tf.expand_dims(tf.range(time), 0)
        early = position if backwards else time - position
        # The masked steps may have any order, but equal ranks would not define one.
        ranks = tf.where(mask, early + time + 1, early)
        self.order = tf.math.top_k(ranks, k=time).indices
        self.taken = tf.cumsum(tf.cast(self.mask, tf.int32), axis=1)  # number of valid steps up to each step
        self.any_valid = self.taken[:, -1:] > 0
        # A sequence without valid steps counts as one step; its results are replaced.
        self.lengths = tf.maximum(self.taken[:, -1], 1)

    def compact(self, sequence: Tensor) -> Tensor:
        """Map (B, T, D) to (T, B, D) with the valid steps in front."""
        return tf.transpose(tf.gather(sequence, self.order, batch_dims=1), [1, 0, 2])

    def spread(self, outputs: Tensor, zero: bool) -> Tensor:
        """Return for every step, (B, T, H), the output of the last valid step up to it, or zero."""
        repeated = tf.gather(outputs, tf.maximum(self.taken - 1, 0), batch_dims=1)
        shown = self.mask if zero else self.taken > 0
        return tf.where(tf.expand_dims(shown, -1), repeated, 0.0)

    def last_output(self, state: Tensor, zero: bool) -> Tensor:
        return tf.where(self.mask[:, -1:] if zero else self.any_valid, state, 0.0)


def _trace_node(
    recurrence: Recurrence,
    activations: dict[str, Any],
    sequence: Tensor,
    lengths: Tensor | None,
    states: Sequence[Tensor],
    direction: str,
) -> list[Tensor]:
    """Trace the marker: (T, B, D) -> all outputs (T, B, H), last states (B, H) each."""
    units, gates = recurrence.units, _GATES[recurrence.cell]
    columns = np.concatenate([np.arange(units) + gate * units for gate in gates])

    def rows(kernel: Tensor) -> Tensor:  # (_, GH) -> (1, GH, _)
        kernel = tf.gather(tf.cast(kernel, tf.float32), columns, axis=1)
        return tf.expand_dims(tf.transpose(kernel), 0)

    bias = recurrence.bias
    if bias is not None:  # (GH,) or (2, GH) -> (1, 2GH): biases of the input, then of the state
        both = tf.cast(bias, tf.float32) if recurrence.reset_after else tf.stack([bias, tf.zeros_like(bias)])
        bias = tf.reshape(tf.gather(tf.cast(both, tf.float32), columns, axis=1), [1, -1])
    arguments = [sequence, rows(recurrence.kernel), rows(recurrence.recurrent_kernel), bias, lengths]
    if not all(map(_is_zero, states)):  # zeros are the node's default
        arguments += [tf.expand_dims(state, 0) for state in states]
    attributes = {"hidden_size": units, "direction": direction, **activations}
    if recurrence.cell == "gru":
        attributes["linear_before_reset"] = int(recurrence.reset_after)
    node = {
        "operator": _OPERATORS[recurrence.cell],
        "given": [argument is not None for argument in arguments],
        "attributes": attributes,
        "name": recurrence.layer_name,
    }
    outputs, *finals = tf.raw_ops.PyFunc(
        input=[argument for argument in arguments if argument is not None],
        token=_PREFIX + json.dumps(node),
        Tout=[tf.float32] * (1 + len(states)),
        name=recurrence.cell,
    )
    time, batch, _ = sequence.shape
    outputs = tf.squeeze(tf.ensure_shape(outputs, [time, 1, batch, units]), 1)
    return [outputs, *(tf.squeeze(tf.ensure_shape(final, [1, batch, units]), 0) for final in finals)]


def _put_node(graph: Any, node: Any, name: str, args: Any) -> None:
    """Replace a marker by the node that it describes; a handler of tf2onnx's `custom_op_handlers`."""
    text = node.get_attr_str("token")
    if not text.startswith(_PREFIX):
        return
    described = json.loads(text.removeprefix(_PREFIX))
    tensors = iter(node.input)
    inputs = [next(tensors) if given else utils.ONNX_EMPTY_INPUT for given in described["given"]]
    shapes, dtypes = node.output_shapes, node.output_dtypes
    graph.remove_node(name)
    graph.make_node(
        described["operator"],
        inputs,
        attr=described["attributes"],
        outputs=node.output,
        name=utils.make_name(described["name"]),
        shapes=shapes,
        dtypes=dtypes,
    )


RECURRENT_OPERATORS: dict[str, Any] = {_MARKER: (_put_node, [])}


def _activations(recurrence: Recurrence) -> dict[str, Any]:
    """Return the node's attributes `activations`, `activation_alpha` and `activation_beta`."""
    # Not Softplus: onnxruntime's nodes compute log(1 + exp(x)), which is infinite from x = 89 on.
    known: dict[Callable[..., Any], tuple[Any, ...]] = {
        keras.activations.tanh: ("Tanh",),
        keras.activations.sigmoid: ("Sigmoid",),
        keras.activations.relu: ("Relu",),
        keras.activations.softsign: ("Softsign",),
        keras.activations.linear: ("Affine", 1.0, 0.0),
        keras.activations.hard_sigmoid: ("HardSigmoid", 1 / 6, 0.5),
        keras.activations.elu: ("Elu", 1.0),
        keras.activations.leaky_relu: ("LeakyRelu", 0.2),
    }

    def name(activation: Callable[..., Any]) -> tuple[Any, ...]:
        if isinstance(activation, keras.layers.LeakyReLU):
            return "LeakyRelu", float(activation.negative_slope)
        if activation not in known:
            word = getattr(activation, "__name__", type(activation).__name__)
            raise Inexpressible(
                f"ONNX's {_OPERATORS[recurrence.cell]} does not support the activation {word!r}"
            )
        return known[activation]

    inner = name(recurrence.activation)
    if recurrence.recurrent_activation is None:
        wanted = [inner]
    else:
        wanted = [name(recurrence.recurrent_activation), inner]
        wanted += [inner] * (recurrence.cell == "lstm")  # for the candidate and for the cell state
    attributes: dict[str, Any] = {"activations": [word for word, *_ in wanted]}
    for index, attribute in ((1, "activation_alpha"), (2, "activation_beta")):
        # Only activations with a parameter consume an entry of the list.
        if values := [entry[index] for entry in wanted if len(entry) > index]:
            attributes[attribute] = values
    return attributes


def _is_zero(tensor: Tensor) -> bool:
    """Return whether a traced tensor is zeros of any shape."""
    value = tf.get_static_value(tensor)
    if value is not None:
        return not np.any(value)
    operation = tensor.op
    if operation.type in ("Cast", "Identity"):
        return _is_zero(operation.inputs[0])
    return operation.type == "ZerosLike" or (operation.type == "Fill" and _is_zero(operation.inputs[1]))
