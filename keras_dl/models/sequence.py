"""Classes and numbers from sequences: the rows of an image, the adding problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_dl.models.batch_checks import check_positive_int, checked_images
from keras_dl.models.classifier import Classifier
from keras_dl.models.recurrent import CellName, RecurrentModel
from keras_dl_export import Endpoint, Spec


class _SequenceModel(RecurrentModel):
    """Recurrent layers that read a sequence, or an image row by row, and hand on the last output."""

    def __init__(
        self, cell: CellName, units: int, *, input_shape: Sequence[int | None] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(cell, units, **kwargs)
        # What lies below the last layer is read at every step.
        below = [self.recurrent_layer(return_sequences=True) for _ in range(self.num_layers - 1)]
        self.recurrent_layers = [*below, self.recurrent_layer()]
        self.example_shape: tuple[int | None, ...] | None = None
        if input_shape is not None:
            self.build((None, *input_shape))

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        example = tuple(input_shape[1:])
        if len(example) not in (2, 3) or None in example[1:]:
            raise ValueError(
                f"inputs: expected sequences (batch, time, features) or images (batch, height, width, channels), got "
                f"shape {tuple(input_shape)}. Reshape the inputs."
            )
        self.example_shape = example if len(example) == 3 else (None, example[1])
        shape = (None, None, math.prod(example[1:]))
        for layer in self.recurrent_layers:
            layer.build(shape)
            shape = (None, None, self.units)
        self.head.build((None, self.units))
        self.built = True

    def last_output(self, inputs: Any, training: bool) -> Any:
        """(B, T, D), or (B, H, W, C) as H rows of W x C numbers -> (B, units)."""
        assert self.example_shape is not None
        features = math.prod(size for size in self.example_shape[1:] if size)
        x = ops.convert_to_tensor(inputs)
        known = [size for size in x.shape[2:] if size is not None]
        if len(x.shape) not in (3, 4) or (len(known) == len(x.shape) - 2 and math.prod(known) != features):
            raise ValueError(
                f"inputs: expected (batch, time, {features}), or images with {features} numbers a row, as this "
                f"{type(self).__name__} was built for, got {tuple(x.shape)}. Reshape the inputs, or build another model "
                "for them."
            )
        time = ops.shape(x)[1]
        x = ops.reshape(ops.cast(x, self.compute_dtype), (-1, time, features))
        for layer in self.recurrent_layers:
            x = self.drop(layer(x, training=training), training=training)
        return x

    def input_spec_by_name(self) -> tuple[str, Spec]:
        """The endpoint's input: `image`, or `sequence` of any length."""
        if self.example_shape is None:
            raise ValueError(
                f"model: this {type(self).__name__} is not built, so its input shape is unknown. Call it on a batch, or "
                "pass input_shape."
            )
        if len(self.example_shape) == 2:
            return "sequence", Spec(("batch", "sequence_time", int(self.example_shape[1] or 0)), "float32")
        return "image", Spec.named("image", (None, *self.example_shape), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "input_shape": self.example_shape}


@keras.saving.register_keras_serializable("keras_dl")
class SequenceClassifier(_SequenceModel, Classifier):
    """Reads a sequence to its end, then says what it was.

    h_1 ... h_T are the outputs of L recurrent layers over x_1 ... x_T; p(y | x) = softmax(W h_T + b). An image is the
    sequence of its rows.

    Args:
        cell: `"rnn"`, `"lstm"` or `"gru"`.
        units: H, the size of each layer's state.
        num_classes: number of classes.
        num_layers: L.
        dropout: share of each layer's outputs that training sets to 0.
        clipnorm: the longest gradient, over all weights together; None leaves gradients as they are. An optimizer that
            clips already is left as it is.
        input_shape: shape of one example, where it is known: the model is then built at once, otherwise by its first
            batch. (28, 28, 1) for images, (None, D) for sequences.

    Input: sequences (B, T, D) of any length T, or images (B, H, W, C) in [0, 1]. Output: probabilities (B,
    num_classes), float32.

    Raises:
        ValueError: an argument is out of its range; inputs of another shape; in training, an image outside [0, 1] or a
            label that is no class.

    Reference: notes 5; Le, Jaitly and Hinton, A simple way to initialize recurrent networks (2015), for images as
        sequences.
    """

    def __init__(
        self, cell: CellName = "lstm", units: int = 128, num_classes: int = 10, **kwargs: Any
    ) -> None:
        self.head: Any = None
        super().__init__(cell, units, num_classes=num_classes, **kwargs)

    def logits(self, inputs: Any, training: bool = False) -> Any:
        return self.head(self.last_output(inputs, training))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        x = checked_images(x) if len(x.shape) == 4 else x
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def endpoints(self) -> dict[str, Endpoint]:
        """`serving_default(image)`, or `(sequence)`, `-> logits, probabilities, class`.

        Returns:
            The endpoints by name.

        Raises:
            ValueError: the model is not built.
        """
        return self.classifying_endpoint(*self.input_spec_by_name())
