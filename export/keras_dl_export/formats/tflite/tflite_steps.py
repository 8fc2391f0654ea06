"""Steps over time of TFLite's builtin operators, unrolled or as a loop.

Shapes: B batch, T time; an input has (B, T, ...), a state (B, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

Tensor = Any

# (inputs of one step, states before it) -> (output of the step, states after it). The states before the first
# step are None if they are known to be zero and the cell supports it.
Step = Callable[[Sequence[Tensor], Sequence[Tensor] | None], tuple[Tensor, Sequence[Tensor]]]
Result = tuple[Tensor, Tensor | None, list[Tensor]]

# Number of steps whose outputs an inner loop collects. Each iteration copies the array that it writes, so one
# array of (T, B, H) makes the work quadratic in T. LSTM of 64 units, batch 1, 400 steps, one thread: 2221 us
# with one array; 1541, 1203, 1078 us with chunks of 5, 10, 20. At 28 steps one array is faster: 84 us, not
# 102.
_CHUNK = 32


@dataclass(frozen=True)
class Steps:
    """A recurrence to run over time.

    Attributes:
        step: one step.
        inputs: (B, T, ...) each.
        states: the states before the first step.
        zero_states: whether all states are known to be zero, and `step` accepts None for them.
        output_is_state: whether a step's output is always its first new state.
        mask: (B, T) bool, True at the steps to run, or None.
        go_backwards: whether the last step comes first.
        collect: whether to return the outputs of all steps.
        zero_output_for_mask: whether the output of a masked step is zero instead of the previous output.
    """

    step: Step
    inputs: Sequence[Tensor]
    states: Sequence[Tensor]
    zero_states: bool
    output_is_state: bool
    mask: Tensor | None
    go_backwards: bool
    collect: bool
    zero_output_for_mask: bool

    @property
    def shared(self) -> bool:
        """Whether output and first state are equal at every step, including masked ones."""
        return self.output_is_state and (
            self.mask is None or (self.zero_states and not self.zero_output_for_mask)
        )


def write_out(steps: Steps) -> Result:
    """Unroll all steps; the time is static.

    Returns:
        The last output, the outputs (B, T, ...) or None, and the states after the last step.
    """
    inputs = [tf.unstack(x, axis=1) for x in steps.inputs]
    valid = [None] * len(inputs[0]) if steps.mask is None else tf.unstack(steps.mask, axis=1)
    states = None if steps.zero_states else list(steps.states)
    output = None
    outputs = []
    order = range(len(valid))
    for t in reversed(order) if steps.go_backwards else order:
        output, states = _take(steps, [x[t] for x in inputs], valid[t], output, states)
        outputs.append(output)
    return output, tf.stack(outputs, axis=1) if steps.collect else None, states or []


def loop(steps: Steps, nested: bool = True) -> Result:
    """Run the steps in a loop that gathers its inputs and updates slices of its outputs.

    It has no list of tensors, which TFLite supports only for a static batch, so batch and time may be
    dynamic.

    Args:
        steps: the recurrence.
        nested: whether to use a nested loop for long sequences, which is faster.

    Returns:
        The same as `write_out`.
    """
    inputs = [_time_first(x) for x in steps.inputs]
    if steps.mask is not None:
        inputs.append(tf.transpose(steps.mask))
    if steps.go_backwards:
        inputs = [tf.reverse(x, [0]) for x in inputs]
    time = inputs[0].shape[0]
    length = tf.shape(inputs[0])[0] if time is None else tf.constant(time)
    carried = list(steps.states)
    if not steps.shared:
        carried.insert(0, _zero_output(steps, inputs))
    if not steps.collect:
        carried, _ = _run(steps, inputs, tf.constant(0), length, carried, None)
        return carried[0], None, carried if steps.shared else carried[1:]

    output = carried[0]
    if not nested or (time is not None and time <= 2 * _CHUNK):
        outputs = _zeros_like([length if time is None else time], output)
        carried, outputs = _run(steps, inputs, tf.constant(0), length, carried, outputs)
    else:
        carried, outputs = _run_in_chunks(steps, inputs, length, carried, output)
    return carried[0], _time_first(outputs), carried if steps.shared else carried[1:]


def _run_in_chunks(
    steps: Steps, inputs: list[Tensor], length: Tensor, carried: list[Tensor], output: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Run a nested loop; each inner loop fills one chunk of the outputs."""
    time = inputs[0].shape[0]
    count = (length + _CHUNK - 1) // _CHUNK if time is None else tf.constant(-(-time // _CHUNK))
    chunk = _zeros_like([_CHUNK], output)
    chunks = _zeros_like([count if time is None else -(-time // _CHUNK), _CHUNK], output)

    def body(index: Tensor, chunks: Tensor, chunk: Tensor, *carried: Tensor) -> tuple[Tensor, ...]:
        start = index * _CHUNK
        after, chunk = _run(steps, inputs, start, tf.minimum(start + _CHUNK, length), list(carried), chunk)
        return (index + 1, _update(chunks, chunk, index), chunk, *after)

    _, chunks, _, *carried = _while(lambda index, *_: index < count, body, [0, chunks, chunk, *carried])
    outputs = tf.reshape(chunks, [-1, *_sizes(output)])[:length]
    outputs.set_shape([time, *output.shape])
    return carried, outputs


def _run(
    steps: Steps,
    inputs: list[Tensor],
    start: Tensor,
    end: Tensor,
    carried: list[Tensor],
    outputs: Tensor | None,
) -> tuple[list[Tensor], Tensor | None]:
    """Run the steps `start` to `end`; `carried` is the states, after the output if it is not a state."""
    collected = [] if outputs is None else [outputs]
    first = 0 if steps.shared else 1

    def body(t: Tensor, end: Tensor, begin: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        now = [tf.gather(x, t) for x in inputs]
        valid = None if steps.mask is None else now.pop()
        before = list(tensors[: len(carried)])
        output, states = _take(steps, now, valid, before[0], before[first:])
        written = [_update(into, output, t - begin) for into in tensors[len(carried) :]]
        return (t + 1, end, begin, *([] if steps.shared else [output]), *states, *written)

    _, _, _, *after = _while(lambda t, end, *_: t < end, body, [start, end, start, *carried, *collected])
    return after[: len(carried)], after[len(carried)] if collected else None


def _take(
    steps: Steps,
    inputs: Sequence[Tensor],
    valid: Tensor | None,
    output: Tensor | None,
    states: Sequence[Tensor] | None,
) -> tuple[Tensor, list[Tensor]]:
    """Run one step; if it is masked, keep the states and the output, where None means zero."""
    made, new = steps.step(inputs, states)
    if valid is None:
        return made, list(new)
    before = [tf.zeros_like(state) for state in new] if states is None else states
    kept = [tf.where(_beside(valid, after), after, old) for after, old in zip(new, before, strict=True)]
    if steps.shared:
        return kept[0], kept
    if output is None or steps.zero_output_for_mask:
        output = tf.zeros_like(made)
    return tf.where(_beside(valid, made), made, output), kept


def _zero_output(steps: Steps, inputs: Sequence[Tensor]) -> Tensor:
    """Return zeros in the shape of a step's output, without computing a step if the shape is known."""
    first = [x[0] for x in (inputs if steps.mask is None else inputs[:-1])]
    output, _ = steps.step(first, list(steps.states))
    if None in output.shape[1:]:
        return tf.zeros_like(output)
    batch = inputs[0].shape[1]
    return tf.zeros([tf.shape(inputs[0])[1] if batch is None else batch, *output.shape[1:]], output.dtype)


def _while(condition: Callable[..., Tensor], body: Callable[..., Any], values: list[Any]) -> list[Tensor]:
    values = [tf.convert_to_tensor(value) for value in values]

    def shaped_body(*tensors: Tensor) -> list[Tensor]:
        after = [tf.convert_to_tensor(tensor) for tensor in body(*tensors)]
        for tensor, value in zip(after, values, strict=True):
            tensor.set_shape(value.shape)
        return after

    invariants = [value.shape for value in values]
    return list(tf.while_loop(condition, shaped_body, values, shape_invariants=invariants))


def _update(into: Tensor, value: Tensor, index: Tensor) -> Tensor:
    """Return `into` with `value` at `index` of its first axis."""
    # A builtin operator of TFLite. tensor_scatter_nd_update becomes five operators, which take 5813 us for
    # 400 steps of an LSTM of 64 units; this one takes 2221 us.
    position = tf.stack([index, *[0] * (into.shape.rank - 1)])
    updated = gen_xla_ops.xla_dynamic_update_slice(into, tf.expand_dims(value, 0), position)
    updated.set_shape(into.shape)
    return updated


def _zeros_like(leading: list[Any], tensor: Tensor) -> Tensor:
    """Return zeros in the tensor's shape with additional leading axes."""
    zeros = tf.zeros([*leading, *_sizes(tensor)], tensor.dtype)
    zeros.set_shape([*(size if isinstance(size, int) else None for size in leading), *tensor.shape])
    return zeros


def _sizes(tensor: Tensor) -> list[Any]:
    dynamic = tf.shape(tensor)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(tensor.shape)]


def _time_first(x: Tensor) -> Tensor:
    """Swap the first two axes."""
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])


def _beside(valid: Tensor, tensor: Tensor) -> Tensor:
    """Return (B,) with the rank of the tensor."""
    return tf.reshape(valid, [-1] + [1] * (tensor.shape.rank - 1))
