"""Recurrent layers, described once and written in the native form of each target.

Keras runs every recurrent layer through `RNN.inner_loop`, a TensorFlow loop over a list of tensors. While an
endpoint is traced for a target, that loop is replaced: the layer becomes a `Recurrence`, and the target's
emitter writes it in the form that the target runs best. A layer that the emitter cannot express remains
Keras's loop, and the reason is recorded in the artifact's notes.

Shapes: B batch, T time, D features, H units.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

from keras_dl_export.lowering.inference import at_inference
from keras_dl_export.lowering.patching import patched

Tensor = Any


class Inexpressible(Exception):
    """The error that a target cannot express a recurrence; its text completes "it is a loop because ..."."""


@dataclass(frozen=True)
class Recurrence:
    """One recurrent cell over a whole sequence, at inference.

    The equations, with x_t from the sequence, W the kernel, U the recurrent kernel, b the bias, f the
    recurrent activation and g the activation:

        rnn:   h = g(x W + h U + b)
        lstm:  i, f, C~, o concatenated in W, U, b;  C = f C + i C~;  h = o g(C)
        gru:   z, r, h~ concatenated;  h = z h + (1 - z) h~  with  h~ = g(x W + (r h) U + b), or, with
               `reset_after`, h~ = g(x W + b_0 + r (h U + b_1)); z and r then also have both biases

    Attributes:
        cell: the equations.
        layer_name: the name of the Keras layer, for names and messages.
        sequence: (B, T, D).
        initial_state: h (B, H); for an LSTM h and C.
        mask: (B, T) bool, True at the steps to run, or None. It may have holes and padding on either side.
        kernel: W (D, H), (D, 4H) or (D, 3H).
        recurrent_kernel: U (H, H), (H, 4H) or (H, 3H).
        bias: b (H,), (4H,) or (3H,), with `reset_after` (2, 3H); or None.
        activation: g, as the function of `keras.activations` if it has it.
        recurrent_activation: f, in the same form; None for "rnn".
        reset_after: the option of a GRU.
        go_backwards: whether the last step comes first; the outputs are in the order of computation.
        return_sequences: whether to return the outputs of all steps.
        zero_output_for_mask: whether the output of a masked step is zero instead of the previous output
            (which is also zero until the first valid step).
        units: H.
        note: adds a remark on the layer to the artifact's notes, such as a limitation of the written form.
    """

    cell: Literal["rnn", "lstm", "gru"]
    layer_name: str
    sequence: Tensor = field(repr=False)
    initial_state: tuple[Tensor, ...] = field(repr=False)
    mask: Tensor | None = field(repr=False)
    kernel: Tensor = field(repr=False)
    recurrent_kernel: Tensor = field(repr=False)
    bias: Tensor | None = field(repr=False)
    activation: Callable[..., Any]
    recurrent_activation: Callable[..., Any] | None
    reset_after: bool
    go_backwards: bool
    return_sequences: bool
    zero_output_for_mask: bool
    units: int
    note: Callable[[str], None] = field(repr=False, compare=False)


# Maps a recurrence to (last output (B, H), outputs (B, T, H) or None if not requested, states [(B, H), ...]).
# The last output is that of the last computed step, masked or not; a masked step does not change the states.
# Raises Inexpressible.
Emitter = Callable[[Recurrence], tuple[Tensor, Tensor | None, Sequence[Tensor]]]


@dataclass
class Trace:
    """A record of the recurrent layers of a traced endpoint.

    Attributes:
        recurrent: whether there was a recurrent layer.
        notes: a sentence for each layer that the target could not, or not fully, express in its native form.
    """

    recurrent: bool = False
    notes: list[str] = field(default_factory=list)

    def note(self, layer_name: str, remark: str) -> None:
        """Add a sentence, unless it exists."""
        sentence = f"{layer_name}: {remark}."
        if sentence not in self.notes:
            self.notes.append(sentence)


@contextlib.contextmanager
def recurrent_layers(emit: Emitter | None) -> Iterator[Trace]:
    """Trace recurrent layers in a target's native form, in this thread only.

    Args:
        emit: the target's emitter; None keeps Keras's loop. A method `loop` of the emitter replaces
            `inner_loop` for layers that it cannot express.
    """
    trace = Trace()
    own: list[Callable[..., Any]] = []  # the first is RNN's: the others try cuDNN, which a file must not need

    def inner_loop(
        layer: Any, sequences: Tensor, initial_state: Any, mask: Any, training: bool = False
    ) -> Any:
        trace.recurrent = True
        mask = keras.tree.flatten(mask)[0]
        if emit is not None:
            try:
                return _run(layer, sequences, initial_state, mask, training, emit, trace)
            except Inexpressible as reason:
                if hasattr(emit, "loop"):
                    return emit.loop(layer, sequences, initial_state, mask, training)
                trace.note(layer.name, f"it is a loop, which is slower, because {reason}")
        return own[0](layer, sequences, initial_state, mask, training=training)

    def replace(kept: Callable[..., Any]) -> Callable[..., Any]:
        own.append(kept)
        return inner_loop

    with contextlib.ExitStack() as stack:
        stack.enter_context(at_inference(trace.note))
        for cls in (keras.layers.RNN, keras.layers.LSTM, keras.layers.GRU):  # SimpleRNN has RNN's
            stack.enter_context(patched(cls, "inner_loop", replace))
        yield trace


def _run(
    layer: Any,
    sequences: Tensor,
    initial_state: Any,
    mask: Tensor | None,
    training: bool,
    emit: Emitter,
    trace: Trace,
) -> tuple[Tensor, Tensor, Any]:
    """Run a layer's cell, or its stacked cells, as recurrences; return the results of `inner_loop`."""
    stacked = type(layer.cell).call is keras.layers.StackedRNNCells.call
    cells = layer.cell.cells if stacked else [layer.cell]
    states = initial_state if stacked else [initial_state]
    equations = [_equation_of(cell) for cell in cells]
    if training and any(
        getattr(cell, "dropout", 0) or getattr(cell, "recurrent_dropout", 0) for cell in cells
    ):
        raise Inexpressible("its dropout is active")
    if len(sequences.shape) != 3:
        raise Inexpressible("its steps are not vectors")
    mask = _flat_mask(mask)
    outputs = sequences
    last_states: list[Tensor] = []
    for index, (cell, equation, state) in enumerate(zip(cells, equations, states, strict=True)):
        final = index == len(cells) - 1
        name = layer.name if not stacked else f"{layer.name}/{index}"
        recurrence = Recurrence(
            cell=equation["cell"],
            layer_name=name,
            sequence=ops.cast(outputs, cell.compute_dtype),
            initial_state=tuple(keras.tree.flatten(state)),
            mask=mask,
            kernel=_weight(cell, "kernel"),
            recurrent_kernel=_weight(cell, "recurrent_kernel"),
            bias=_weight(cell, "bias"),
            activation=_activation(equation["activation"]),
            recurrent_activation=(
                None
                if equation["cell"] == "rnn"
                else _activation(equation.get("recurrent_activation", "sigmoid"))
            ),
            reset_after=bool(equation.get("reset_after", False)),
            go_backwards=layer.go_backwards and index == 0,
            return_sequences=layer.return_sequences or not final,
            zero_output_for_mask=layer.zero_output_for_mask and final,
            units=cell.units,
            note=functools.partial(trace.note, name),
        )
        last, outputs, cell_states = emit(recurrence)
        last_states += cell_states
        readout = _weight(cell, "output_kernel")
        if readout is not None:
            last = ops.matmul(last, readout)
            outputs = None if outputs is None else ops.matmul(outputs, readout)
        if recurrence.go_backwards and mask is not None:
            mask = ops.flip(mask, axis=1)
    if outputs is None:
        outputs = ops.expand_dims(last, 1)
    return last, outputs, keras.tree.pack_sequence_as(initial_state, last_states)


def _equation_of(cell: Any) -> Mapping[str, Any]:
    """Return the equations of a cell: a cell of Keras, or one that declares them.

    A cell of another package declares them in a class attribute `recurrence`, a dict of `cell`, `activation`,
    `recurrent_activation` (default sigmoid) and `reset_after` (default False) as in `Recurrence`. It has
    `units` and the weights `kernel`, `recurrent_kernel` and optionally `bias` of a `Recurrence`, and
    `output_kernel` (H, O) if its output is the product of the state and `output_kernel`. A subclass with its
    own `call` must declare its equations again.
    """
    own = {
        keras.layers.SimpleRNNCell: "rnn",
        keras.layers.LSTMCell: "lstm",
        keras.layers.GRUCell: "gru",
    }
    steps = {"call", "_compute_carry_and_output", "_compute_carry_and_output_fused"}
    for cls in type(cell).__mro__:
        if cls in own:
            names = ("activation", "recurrent_activation", "reset_after")
            return {"cell": own[cls], **{name: getattr(cell, name) for name in names if hasattr(cell, name)}}
        if "recurrence" in vars(cls):
            declared: Mapping[str, Any] = vars(cls)["recurrence"]
            return declared
        if steps & set(vars(cls)):
            break
    raise Inexpressible(f"its cell is a {type(cell).__name__}, not an LSTM, a GRU or a simple RNN")


def _activation(given: Any) -> Callable[..., Any]:
    """Return the activation as the function of `keras.activations`, also for its aliases."""
    activation: Callable[..., Any] = keras.activations.get(given)
    for name in ("tanh", "sigmoid", "relu", "elu", "softplus", "softsign", "hard_sigmoid", "leaky_relu"):
        if any(activation is getattr(module, name, None) for module in (keras.ops, tf.nn, tf.math)):
            activation = keras.activations.get(name)
    return activation


def _weight(cell: Any, name: str) -> Tensor | None:
    weight = getattr(cell, name, None)
    return None if weight is None else ops.cast(ops.convert_to_tensor(weight), cell.compute_dtype)


def _flat_mask(mask: Tensor | None) -> Tensor | None:
    """Return the mask as (B, T) bool."""
    if mask is None:
        return None
    if len(mask.shape) == 3 and mask.shape[-1] == 1:
        mask = ops.squeeze(mask, -1)
    if len(mask.shape) != 2:
        raise Inexpressible("its mask has more than one value per step")
    return ops.cast(mask, "bool")
