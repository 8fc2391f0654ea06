"""Recurrent layers over whole sequences: vanilla RNN, LSTM, GRU.

The layers subclass Keras's fast ones and accept only the equations of the notes: the results equal those of
`VanillaRNNCell`, `LSTMCell` and `GRUCell`. Keras's arguments are supported: `return_sequences`,
`return_state`, `go_backwards`, `stateful`, `unroll`, `dropout`, `recurrent_dropout`, initializers,
regularizers and constraints; masks and `initial_state` are passed to the call. Models that contain these
layers are not compiled with XLA (`supports_jit`): a compiled loop is slower on a CPU, and has no cuDNN kernel
on a GPU.

Shapes: B batch, T time, D features, H units, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import keras
from keras import ops

from keras_dl.layers.recurrent_cells import (
    GRUGates,
    LSTMGates,
    Tensor,
    gru_gates,
    lstm_gates,
)
from keras_dl_export.arguments import check_int

_Gates = TypeVar("_Gates", LSTMGates, GRUGates)


def _hold_equation(layer: str, arguments: Mapping[str, Any], equation: Mapping[str, Any]) -> None:
    """Raise `ValueError` for an argument that changes the equation of `layer`."""
    for name, fixed in equation.items():
        value = arguments.get(name, fixed)
        same = (
            keras.activations.get(value) is keras.activations.get(fixed)
            if isinstance(fixed, str)
            else value is fixed
        )
        if not same:
            raise ValueError(
                f"{name}: expected {fixed!r}, the equation of {layer}, got {value!r}. Omit it, or use "
                f"keras.layers.{'SimpleRNN' if layer == 'VanillaRNN' else layer} for other equations."
            )


class _GateCell:
    """A cell that outputs its gates, concatenated, so that Keras's loop collects them over time."""

    def __init__(self, cell: Any, equation: Callable[..., Any], num_gates: int) -> None:
        self.cell = cell
        self.equation = equation
        self.state_size = cell.state_size
        self.output_size = num_gates * cell.units
        self.compute_dtype = cell.compute_dtype

    def call(self, inputs: Tensor, states: Any) -> tuple[Tensor, Any]:
        cell = self.cell
        gates = self.equation(inputs, states[0], cell.kernel, cell.recurrent_kernel, cell.bias)
        return ops.concatenate(gates, axis=-1), cell(inputs, states)[1]

    __call__ = call


def _gates_over_time(
    layer: Any,
    equation: Callable[..., _Gates],
    kind: type[_Gates],
    sequences: Tensor,
    initial_state: Any,
    mask: Tensor | None,
) -> _Gates:
    if not layer.built:
        raise ValueError(
            f"{layer.name}: expected a built layer, got one without weights. Call it on a sequence before "
            "computing its gates."
        )
    loop = keras.layers.RNN(
        _GateCell(layer.cell, equation, len(kind._fields)),
        return_sequences=True,
        go_backwards=layer.go_backwards,
        dtype=layer.dtype_policy,
    )
    values = loop(sequences, initial_state=initial_state, mask=mask)
    return kind(*ops.split(values, len(kind._fields), axis=-1))


@keras.saving.register_keras_serializable("keras_dl")
class VanillaRNN(keras.layers.SimpleRNN):
    """The vanilla RNN over a sequence (notes, 5.1), without bias.

        s_t = tanh(W s_{t-1} + U x_t)
        o_t = V s_t

    sequences (B, T, D) -> o_T (B, O), or every o_t (B, T, O) with `return_sequences`; `return_state` adds s_T
    (B, H). The weights, in order, are U (D, H), W (H, H) and V (H, O), as in `VanillaRNNCell`. V is applied
    after the loop, in one product for all steps.

    Args:
        units: H, the size of the state.
        output_units: O, the size of the output; H by default.
        output_initializer: initializer of V.
        **kwargs: keyword arguments of `keras.layers.SimpleRNN`.

    Raises:
        ValueError: a size is below 1, or an argument changes the equation.
    """

    def __init__(
        self,
        units: int,
        *,
        output_units: int | None = None,
        output_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        _hold_equation("VanillaRNN", kwargs, {"activation": "tanh", "use_bias": False})
        super().__init__(check_int("units", units), **{**kwargs, "use_bias": False})
        self.output_units = units if output_units is None else check_int("output_units", output_units)
        self.output_initializer = keras.initializers.get(output_initializer)
        # V is a layer, so its weight follows the cell's; a weight of this layer itself would come first.
        self.readout = keras.layers.Dense(
            self.output_units,
            use_bias=False,
            kernel_initializer=self.output_initializer,
            dtype=self.dtype_policy,
            name="readout",
        )
        self.supports_jit = False

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        super().build(sequences_shape, initial_state_shape)
        self.readout.build((None, self.units))

    def call(
        self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None, training: bool = False
    ) -> Any:
        states = super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        if self.return_state:
            states, last_state = states
            return self.readout(states), last_state
        return self.readout(states)

    def step(self, inputs: Tensor, states: Any) -> tuple[Tensor, Any]:
        """Compute one step without dropout: inputs x_t (B, D), states [s_{t-1}] -> o_t, [s_t]."""
        _, states = self.cell(inputs, states, training=False)
        self.cell.reset_dropout_mask()  # Keras's cell creates one even if it is unused
        self.cell.reset_recurrent_dropout_mask()
        return self.readout(states[0]), states

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        shapes = super().compute_output_shape(sequences_shape, initial_state_shape)
        if self.return_state:
            return (*shapes[0][:-1], self.output_units), *shapes[1:]
        return (*shapes[:-1], self.output_units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_units": self.output_units,
            "output_initializer": keras.initializers.serialize(self.output_initializer),
        }


@keras.saving.register_keras_serializable("keras_dl")
class LSTM(keras.layers.LSTM):
    """The LSTM over a sequence (notes, 5.2), which applies the equations of `LSTMCell` at every step.

    sequences (B, T, D) -> h_T (B, H), or every h_t (B, T, H) with `return_sequences`; `return_state` adds
    h_T and C_T (B, H) each. The weights are those of `LSTMCell` and of `keras.layers.LSTM`, in the same
    order.

    Args:
        units: H, the size of both states.
        **kwargs: keyword arguments of `keras.layers.LSTM`.

    Raises:
        ValueError: `units` is below 1, or an argument changes the equation.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        equation = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}
        _hold_equation("LSTM", kwargs, equation)
        super().__init__(check_int("units", units), **kwargs)
        self.supports_jit = False

    def gates(self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None) -> LSTMGates:
        """Return every gate at every step, (B, T, H) each, in the order in which the steps are computed.

        Args:
            sequences: (B, T, D).
            initial_state: [h_0, C_0], (B, H) each; zeros by default.
            mask: (B, T), True at the steps to compute; a masked step repeats the gates of the step before it.

        Raises:
            ValueError: the layer has no weights yet.
        """
        return _gates_over_time(self, lstm_gates, LSTMGates, sequences, initial_state, mask)

    def step(self, inputs: Tensor, states: Any) -> tuple[Tensor, Any]:
        """Compute one step without dropout: x_t (B, D), [h_{t-1}, C_{t-1}] -> h_t, [h_t, C_t]."""
        output, states = self.cell(inputs, states, training=False)
        return output, states


@keras.saving.register_keras_serializable("keras_dl")
class GRU(keras.layers.GRU):
    """The GRU over a sequence (notes, 5.3), which applies the equations of `GRUCell` at every step.

    sequences (B, T, D) -> h_T (B, H), or every h_t (B, T, H) with `return_sequences`; `return_state` adds h_T
    (B, H). The reset gate acts before the product, so the weights are those of `GRUCell` and of
    `keras.layers.GRU(reset_after=False)`, in the same order.

    Args:
        units: H, the size of the state.
        **kwargs: keyword arguments of `keras.layers.GRU`.

    Raises:
        ValueError: `units` is below 1, or an argument changes the equation.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        equation = {
            "activation": "tanh",
            "recurrent_activation": "sigmoid",
            "use_bias": True,
            "reset_after": False,
        }
        _hold_equation("GRU", kwargs, equation)
        super().__init__(check_int("units", units), **{**kwargs, "reset_after": False})
        self.supports_jit = False

    def gates(self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None) -> GRUGates:
        """Return every gate at every step, (B, T, H) each, in the order in which the steps are computed.

        Args:
            sequences: (B, T, D).
            initial_state: h_0, (B, H); zeros by default.
            mask: (B, T), True at the steps to compute; a masked step repeats the gates of the step before it.

        Raises:
            ValueError: the layer has no weights yet.
        """
        return _gates_over_time(self, gru_gates, GRUGates, sequences, initial_state, mask)

    def step(self, inputs: Tensor, states: Any) -> tuple[Tensor, Any]:
        """Compute one step without dropout: x_t (B, D), [h_{t-1}] -> h_t, [h_t]."""
        output, states = self.cell(inputs, states, training=False)
        return output, states
