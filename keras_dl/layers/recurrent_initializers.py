"""Initializers for the gates of recurrent layers."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from keras_dl.arguments import check_choice
from keras_dl_export.arguments import check_int


@keras.saving.register_keras_serializable("keras_dl")
class LongMemory(keras.initializers.Initializer):
    """Biases that give the units of a new LSTM or GRU memories of 2 to T steps, uniformly distributed.

    A unit that keeps the fraction f of its state at each step has a memory of 1 / (1 - f) steps. With
    b = log(k - 1) and f = sigmoid(b) the memory is k steps; k is drawn from U(2, T):

        LSTM: b_f = b, b_i = -b;  GRU: b_z = b;  all other biases 0

    Biases of 0, in contrast, give a memory of two steps: gradients from farther back vanish.

    Args:
        cell: `"lstm"` or `"gru"`, the kind of the cell; an LSTM also needs `unit_forget_bias=False`.
        memory_steps: T, the largest memory; choose the longest dependency in the data.

    Raises:
        ValueError: `cell` is neither; `memory_steps` is below 2.

    Reference: Tallec and Ollivier, Can recurrent neural networks warp time? (ICLR 2018).
    """

    def __init__(self, cell: Literal["lstm", "gru"], memory_steps: int) -> None:
        self.cell = check_choice("cell", cell, "lstm", "gru")
        self.memory_steps = check_int("memory_steps", memory_steps, 2)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return the bias (4H,) of an LSTM, or (3H,) of a GRU."""
        gates = {"lstm": 4, "gru": 3}[self.cell]
        units = shape[0] // gates
        b = ops.log(keras.random.uniform((units,), 1.0, max(self.memory_steps - 1.0, 1.0), dtype=dtype))
        zeros = ops.zeros(((gates - 2) * units,), dtype=dtype)
        first = [-b, b] if self.cell == "lstm" else [b, ops.zeros_like(b)]
        return ops.concatenate([*first, zeros])

    def get_config(self) -> dict[str, Any]:
        return {"cell": self.cell, "memory_steps": self.memory_steps}
