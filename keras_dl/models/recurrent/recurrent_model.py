"""The base class of the recurrent models: recurrent layers and gradient clipping."""

from __future__ import annotations

from typing import Any, Literal, Unpack

import keras
from keras import ops

from keras_dl.arguments import check_choice, check_rate
from keras_dl.layers import GRU, LSTM, Dropout, LongMemory, VanillaRNN
from keras_dl.models.checked_model import CheckedModel
from keras_dl.models.model_options import ModelOptions
from keras_dl_export.arguments import check_int

CellName = Literal["rnn", "lstm", "gru"]

_LAYERS = {"rnn": VanillaRNN, "lstm": LSTM, "gru": GRU}


class RecurrentModel(CheckedModel):
    """The base class of models with L stacked recurrent layers of H units. Subclasses add input and output.

    Repeated products make gradients explode (notes, 5.1.1). `compile` therefore configures the optimizer to
    scale gradients of a larger norm down to `clipnorm` (Pascanu et al. 2013), unless the optimizer clips
    gradients already.

    Args:
        cell: `"rnn"`, `"lstm"` or `"gru"`.
        units: H, the size of the state of each layer.
        num_layers: L.
        dropout: fraction of the outputs of each layer that is set to 0 in training, the same units at every
            step (Gal and Ghahramani 2016).
        memory_steps: the longest dependency in the data, for which `LongMemory` initializes the gates. None
            uses Keras's initialization.
        clipnorm: the largest norm of the gradient of all weights together; None for no limit.
        seed: seed of the dropout.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        cell: CellName,
        units: int,
        *,
        num_layers: int = 1,
        dropout: float = 0.0,
        memory_steps: int | None = None,
        clipnorm: float | None = 1.0,
        seed: int = 0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(**kwargs)
        if clipnorm is not None and not clipnorm > 0:
            raise ValueError(
                f"clipnorm: expected a positive norm or None, got {clipnorm!r}. Pass None to disable "
                "clipping."
            )
        self.cell = check_choice("cell", cell, *_LAYERS)
        self.units = check_int("units", units)
        self.num_layers = check_int("num_layers", num_layers)
        self.dropout = check_rate("dropout", dropout)
        if memory_steps is not None and cell == "rnn":
            raise ValueError(
                f"memory_steps: expected None with cell='rnn', which has no gates, got {memory_steps!r}. "
                "Omit it, or pass cell='gru'."
            )
        self.memory_steps = memory_steps
        self.clipnorm = clipnorm
        self.seed = check_int("seed", seed, 0)
        self.drops = [
            Dropout(dropout, self.seed + index, dtype=self.dtype_policy) for index in range(self.num_layers)
        ]

    def recurrent_layer(self, **options: Any) -> Any:
        """Return one of the layers.

        Args:
            **options: `return_sequences`, `return_state`.

        Returns:
            An unbuilt layer.
        """
        if self.memory_steps is not None:
            options["bias_initializer"] = LongMemory(self.cell, self.memory_steps)
            if self.cell == "lstm":
                options["unit_forget_bias"] = False
        return _LAYERS[self.cell](self.units, dtype=self.dtype_policy, **options)

    def drop(self, index: int, outputs: Any, training: bool) -> Any:
        """Apply dropout to the outputs of a layer.

        Args:
            index: index of the layer.
            outputs: its outputs, (B, H) or (B, T, H).
            training: whether to apply dropout.

        Returns:
            The outputs, with dropped units set to 0 and the others scaled up.
        """
        if not training or not self.dropout:
            return outputs
        if len(outputs.shape) == 2:
            return self.drops[index](outputs, training=training)
        mask = self.drops[index](ops.ones_like(outputs[:, 0]), training=training)
        return outputs * mask[:, None]

    def compile(self, optimizer: Any = "adam", loss: Any = None, **kwargs: Any) -> None:
        """Compile as in Keras, with gradient clipping.

        Args:
            optimizer: as in Keras; if it does not clip gradients, `clipnorm` is set.
            loss: as in Keras.
            **kwargs: as in Keras.
        """
        optimizer = keras.optimizers.get(optimizer)
        clipping = getattr(
            optimizer, "inner_optimizer", optimizer
        )  # a loss-scaling optimizer clips in its inner optimizer
        if clipping is not None and not (clipping.clipnorm or clipping.global_clipnorm or clipping.clipvalue):
            clipping.global_clipnorm = self.clipnorm
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def get_config(self) -> dict[str, Any]:
        names = ("cell", "units", "num_layers", "dropout", "memory_steps", "clipnorm", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
