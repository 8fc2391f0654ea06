"""One step of a recurrent network in the notation of the notes: vanilla RNN, LSTM, GRU.

Each cell runs inside `keras.layers.RNN`. Its weights are in Keras's order and Keras's gate order, so that
they are interchangeable with those of Keras's cells.

Shapes: B batch, T time, D features, H units, O outputs.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import keras
from keras import ops

from keras_dl_export.arguments import check_int

Tensor = Any  # a tensor of the Keras backend or a NumPy array


class LSTMGates(NamedTuple):
    """The gates of an LSTM at a step, (B, H) each; over a sequence (B, T, H) each.

    Attributes:
        input: i_t, the fraction of the candidate that is added to the cell state; in (0, 1).
        forget: f_t, the fraction of the old cell state that is kept; in (0, 1).
        candidate: C~_t, the candidate for the cell state; in (-1, 1).
        output: o_t, the fraction of tanh(C_t) that is output; in (0, 1).
    """

    input: Tensor
    forget: Tensor
    candidate: Tensor
    output: Tensor


class GRUGates(NamedTuple):
    """The gates of a GRU at a step, (B, H) each; over a sequence (B, T, H) each.

    Attributes:
        update: z_t, the fraction of the old state that is kept; in (0, 1).
        reset: r_t, the fraction of the old state that enters the candidate; in (0, 1).
        candidate: h~_t, the candidate for the new state; in (-1, 1).
    """

    update: Tensor
    reset: Tensor
    candidate: Tensor


def lstm_gates(x: Tensor, h: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor) -> LSTMGates:
    """Return the gates for the input x_t (B, D) and the state h_{t-1} (B, H).

    All four are computed at once: the columns of `kernel` (D, 4H), `recurrent_kernel` (H, 4H) and `bias`
    (4H,) are those of i, f, C~ and o in this order, and W . [h_{t-1}, x_t] is the sum of both products.
    """
    i, f, candidate, o = ops.split(ops.matmul(x, kernel) + ops.matmul(h, recurrent_kernel) + bias, 4, axis=-1)
    return LSTMGates(
        input=ops.sigmoid(i), forget=ops.sigmoid(f), candidate=ops.tanh(candidate), output=ops.sigmoid(o)
    )


def gru_gates(x: Tensor, h: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor) -> GRUGates:
    """Return the gates for the input x_t (B, D) and the state h_{t-1} (B, H).

    The columns of `kernel` (D, 3H), `recurrent_kernel` (H, 3H) and `bias` (3H,) are those of z, r and h~ in
    this order. The candidate uses the state after the reset gate, so its product follows r_t.
    """
    x_z, x_r, x_candidate = ops.split(ops.matmul(x, kernel) + bias, 3, axis=-1)
    U_z, U_r, U_candidate = ops.split(recurrent_kernel, 3, axis=-1)
    z = ops.sigmoid(x_z + ops.matmul(h, U_z))
    r = ops.sigmoid(x_r + ops.matmul(h, U_r))
    return GRUGates(update=z, reset=r, candidate=ops.tanh(x_candidate + ops.matmul(r * h, U_candidate)))


class _Cell(keras.layers.Layer):
    """The base class of the cells, with the weights that all have: a kernel for the input, one for the state.

    Attributes:
        recurrence: the equation of the cell, in the terms of `keras_dl.export`.
    """

    recurrence: ClassVar[dict[str, str]]

    def __init__(
        self, units: int, kernel_initializer: Any, recurrent_initializer: Any, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = check_int("units", units)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.output_size = self.units
        self.supports_jit = False  # as in the layers: XLA makes the loop slower

    def _add_kernels(self, features: int, width: int) -> None:
        self.kernel = self.add_weight(
            shape=(features, width), initializer=self.kernel_initializer, name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, width), initializer=self.recurrent_initializer, name="recurrent_kernel"
        )

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Return zeros (B, H), one tensor for each state."""
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in sizes]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
        }


@keras.saving.register_keras_serializable("keras_dl")
class VanillaRNNCell(_Cell):
    """One step of the vanilla RNN (notes, 5.1), without bias.

        s_t = tanh(W s_{t-1} + U x_t)
        o_t = V s_t

    x_t (B, D) is the input, s_t (B, H) the state, o_t (B, O) the output. The weights, in Keras's order: U is
    `kernel` (D, H), W is `recurrent_kernel` (H, H), V is `output_kernel` (H, O). Each is stored transposed,
    because examples are rows and multiply from the left.

    Args:
        units: H, the size of the state.
        output_units: O, the size of the output; H by default.
        kernel_initializer: initializer of U.
        recurrent_initializer: initializer of W.
        output_initializer: initializer of V.
        **kwargs: arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Raises:
        ValueError: a size is below 1.
    """

    recurrence: ClassVar[dict[str, str]] = {"cell": "rnn", "activation": "tanh"}

    def __init__(
        self,
        units: int,
        output_units: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        output_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(units, kernel_initializer, recurrent_initializer, **kwargs)
        self.output_units = self.units if output_units is None else check_int("output_units", output_units)
        self.output_initializer = keras.initializers.get(output_initializer)
        self.state_size = self.units
        self.output_size = self.output_units

    def build(self, input_shape: Any) -> None:
        self._add_kernels(input_shape[-1], self.units)
        self.output_kernel = self.add_weight(
            shape=(self.units, self.output_units), initializer=self.output_initializer, name="output_kernel"
        )

    def call(self, inputs: Tensor, states: Any) -> tuple[Tensor, Any]:
        (s,) = states if isinstance(states, list | tuple) else [states]
        s = ops.tanh(ops.matmul(s, self.recurrent_kernel) + ops.matmul(inputs, self.kernel))
        o = ops.matmul(s, self.output_kernel)
        return o, [s] if isinstance(states, list | tuple) else s

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_units": self.output_units,
            "output_initializer": keras.initializers.serialize(self.output_initializer),
        }


@keras.saving.register_keras_serializable("keras_dl")
class LSTMCell(_Cell):
    """One step of the LSTM (notes, 5.2; Hochreiter and Schmidhuber 1997, Gers et al. 2000).

        f_t  = sigmoid(W_f . [h_{t-1}, x_t] + b_f)      forget gate
        i_t  = sigmoid(W_i . [h_{t-1}, x_t] + b_i)      input gate
        C~_t = tanh(W_C . [h_{t-1}, x_t] + b_C)         candidate
        C_t  = f_t * C_{t-1} + i_t * C~_t               cell state
        o_t  = sigmoid(W_o . [h_{t-1}, x_t] + b_o)      output gate
        h_t  = o_t * tanh(C_t)

    x_t (B, D) is the input; h_t and C_t (B, H) are the states, h_t also the output. Each W consists of
    two kernels, one for x_t and one for h_{t-1}. The weights, in Keras's order, are `kernel` (D, 4H),
    `recurrent_kernel` (H, 4H) and `bias` (4H,), each with the columns of i, f, C~ and o in this order.

    Args:
        units: H, the size of both states.
        kernel_initializer: initializer of the input kernel.
        recurrent_initializer: initializer of the recurrent kernel.
        bias_initializer: initializer of the biases, except b_f where `unit_forget_bias` is set.
        unit_forget_bias: initialize b_f to 1, so that a new LSTM keeps its state (Jozefowicz et al. 2015).
        **kwargs: arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Raises:
        ValueError: `units` is below 1.
    """

    recurrence: ClassVar[dict[str, str]] = {
        "cell": "lstm",
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
    }

    def __init__(
        self,
        units: int,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, kernel_initializer, recurrent_initializer, **kwargs)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [self.units, self.units]

    def build(self, input_shape: Any) -> None:
        self._add_kernels(input_shape[-1], 4 * self.units)
        self.bias = self.add_weight(shape=(4 * self.units,), initializer=self._initial_bias, name="bias")

    def _initial_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, dtype=dtype)
        return ops.concatenate(
            [
                self.bias_initializer((self.units,), dtype=dtype),
                ops.ones((self.units,), dtype=dtype),
                self.bias_initializer((2 * self.units,), dtype=dtype),
            ]
        )

    def gates(self, inputs: Tensor, states: Any) -> LSTMGates:
        """Return every gate at one step: inputs x_t (B, D), states [h_{t-1}, C_{t-1}] (B, H) each."""
        return lstm_gates(inputs, states[0], self.kernel, self.recurrent_kernel, self.bias)

    def call(self, inputs: Tensor, states: Any) -> tuple[Tensor, list[Tensor]]:
        _, C = states
        i, f, candidate, o = self.gates(inputs, states)
        C = f * C + i * candidate
        h = o * ops.tanh(C)
        return h, [h, C]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "unit_forget_bias": self.unit_forget_bias,
        }


@keras.saving.register_keras_serializable("keras_dl")
class GRUCell(_Cell):
    """One step of the GRU (notes, 5.3; Cho et al. 2014): the reset gate acts before the product.

        z_t  = sigmoid(W_z . [h_{t-1}, x_t] + b_z)          update gate
        r_t  = sigmoid(W_r . [h_{t-1}, x_t] + b_r)          reset gate
        h~_t = tanh(W_h . [r_t * h_{t-1}, x_t] + b_h)       candidate
        h_t  = z_t * h_{t-1} + (1 - z_t) * h~_t

    x_t (B, D) is the input, h_t (B, H) the state and the output. The weights, in Keras's order, are `kernel`
    (D, 3H), `recurrent_kernel` (H, 3H) and `bias` (3H,), each with the columns of z, r and h~ in this order,
    as in `keras.layers.GRU(reset_after=False)`.

    Args:
        units: H, the size of the state.
        kernel_initializer: initializer of the input kernel.
        recurrent_initializer: initializer of the recurrent kernel.
        bias_initializer: initializer of the biases.
        **kwargs: arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Raises:
        ValueError: `units` is below 1.
    """

    recurrence: ClassVar[dict[str, str]] = {
        "cell": "gru",
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
    }

    def __init__(
        self,
        units: int,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(units, kernel_initializer, recurrent_initializer, **kwargs)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.state_size = self.units

    def build(self, input_shape: Any) -> None:
        self._add_kernels(input_shape[-1], 3 * self.units)
        self.bias = self.add_weight(shape=(3 * self.units,), initializer=self.bias_initializer, name="bias")

    def gates(self, inputs: Tensor, states: Any) -> GRUGates:
        """Return every gate at one step: inputs x_t (B, D), states [h_{t-1}] or h_{t-1} (B, H)."""
        (h,) = states if isinstance(states, list | tuple) else [states]
        return gru_gates(inputs, h, self.kernel, self.recurrent_kernel, self.bias)

    def call(self, inputs: Tensor, states: Any) -> tuple[Tensor, Any]:
        (h,) = states if isinstance(states, list | tuple) else [states]
        z, _, candidate = self.gates(inputs, states)
        h = z * h + (1 - z) * candidate
        return h, [h] if isinstance(states, list | tuple) else h

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
