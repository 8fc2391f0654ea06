"""What the models of sequences share: their recurrent layers, and gradients that are kept from exploding."""

from __future__ import annotations

from typing import Any, Literal

import keras

from keras_dl.layers import GRU, LSTM, VanillaRNN
from keras_dl.models.batch_checks import CheckedModel, check_positive_int

CellName = Literal["rnn", "lstm", "gru"]

_LAYERS = {"rnn": VanillaRNN, "lstm": LSTM, "gru": GRU}


class RecurrentModel(CheckedModel):
    """L recurrent layers of H units, one upon the other; the models in the other files say what they read and write.

    Repeated products make gradients explode (notes, 5.1.1). So `compile` sets the optimizer to scale the gradient
    down to norm `clipnorm` where it is longer (Pascanu et al. 2013), unless that optimizer clips already.

    Args:
        cell: `"rnn"`, `"lstm"` or `"gru"`.
        units: H, the size of each layer's state.
        num_layers: L.
        dropout: share of each layer's outputs that training sets to 0.
        clipnorm: the longest gradient, over all weights together; None leaves gradients as they are.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        cell: CellName,
        units: int,
        *,
        num_layers: int = 1,
        dropout: float = 0.0,
        clipnorm: float | None = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if cell not in _LAYERS:
            raise ValueError(f"cell: expected 'rnn', 'lstm' or 'gru', got {cell!r}. Name one of the three.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: expected a share in [0, 1), got {dropout!r}. 0 turns it off.")
        if clipnorm is not None and not clipnorm > 0:
            raise ValueError(f"clipnorm: expected a positive norm or None, got {clipnorm!r}. None turns it off.")
        self.cell = cell
        self.units = check_positive_int("units", units)
        self.num_layers = check_positive_int("num_layers", num_layers)
        self.dropout = dropout
        self.clipnorm = clipnorm
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def recurrent_layer(self, **options: Any) -> Any:
        """One of the layers.

        Args:
            **options: `return_sequences`, `return_state`.

        Returns:
            An unbuilt layer.
        """
        return _LAYERS[self.cell](self.units, dtype=self.dtype_policy, **options)

    def compile(self, optimizer: Any = "adam", loss: Any = None, **kwargs: Any) -> None:
        """Compile as in Keras, with clipped gradients.

        Args:
            optimizer: as in Keras; where it does not clip, it is set to.
            loss: as in Keras.
            **kwargs: as in Keras.
        """
        optimizer = keras.optimizers.get(optimizer)
        clipping = getattr(optimizer, "inner_optimizer", optimizer)  # a loss-scaling optimizer clips inside
        if not (clipping.clipnorm or clipping.global_clipnorm or clipping.clipvalue):
            clipping.global_clipnorm = self.clipnorm
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the saved model was.

        Args:
            config: what `get_compile_config` returned.
        """
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def get_config(self) -> dict[str, Any]:
        names = ("cell", "units", "num_layers", "dropout", "clipnorm")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
