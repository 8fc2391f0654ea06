"""Classification and regression of sequences, such as the rows of an image or the adding problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf
from keras import ops

from keras_dl.arguments import check_image_shape
from keras_dl.models.batch_checks import checked, checked_images
from keras_dl.models.classifier import Classifier
from keras_dl.models.model_options import ModelOptions
from keras_dl.models.recurrent.recurrent_model import CellName, RecurrentModel
from keras_dl_export import Endpoint, Spec
from keras_dl_export.arguments import check_int


class _SequenceModel(RecurrentModel):
    """Recurrent layers that read a sequence, or an image row by row, and return the last output.

    Steps masked by `keras.layers.Masking` or by a mask argument are skipped.
    """

    def __init__(self, cell: CellName, units: int, *, head_size: int, **kwargs: Any) -> None:
        super().__init__(cell, units, **kwargs)
        # All layers except the last return their outputs at every step.
        below = [self.recurrent_layer(return_sequences=True) for _ in range(self.num_layers - 1)]
        self.recurrent_layers = [*below, self.recurrent_layer()]
        self.head = keras.layers.Dense(int(head_size), dtype="float32")
        self.example_shape: tuple[int | None, ...] | None = None
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        example = tuple(input_shape[1:])
        if len(example) not in (2, 3) or None in example[1:]:
            raise ValueError(
                "inputs: expected sequences (batch, time, features) or images (batch, height, width, "
                f"channels), got shape {tuple(input_shape)}. Reshape the inputs."
            )
        self.example_shape = example if len(example) == 3 else (None, example[1])  # sequences of any length
        self.features = math.prod(example[1:])
        width = self.features
        for layer, drop in zip(self.recurrent_layers, self.drops, strict=True):
            layer.build((None, None, width))
            drop.build((None, self.units))
            width = self.units
        self.head.build((None, self.units))
        self.built = True

    def last_output(self, inputs: Any, training: bool, mask: Any = None) -> Any:
        """Return the last output (B, units) for (B, T, D), or for (B, H, W, C) as H rows of W x C numbers.

        Steps at which the mask (B, T) is False are skipped.
        """
        x = ops.cast(self._rows(ops.convert_to_tensor(inputs)), self.compute_dtype)
        if mask is not None and len(mask.shape) > 2:  # a mask of the columns of images
            mask = ops.any(mask, axis=tuple(range(2, len(mask.shape))))
        for index, layer in enumerate(self.recurrent_layers):
            x = self.drop(index, layer(x, mask=mask, training=training), training)
        return x

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        """Return None: the outputs have no time axis."""

    def _rows(self, x: Any) -> Any:
        """Return (B, T, D) or (B, H, W, C) as (B, T, D)."""
        row, features = x.shape[2:], self.features
        expected = (
            f"inputs: expected sequences (batch, time, {features}) or images with {features} numbers per"
        )
        advice = ". Reshape the inputs, or build a model for this shape."
        if x.shape.rank not in (3, 4, None) or row.num_elements() not in (features, None):
            raise ValueError(f"{expected} row, got shape {tuple(x.shape)}{advice}")
        if row.num_elements() is None:  # as in `checked_shape`
            got = tf.shape(x)
            fits = (tf.size(got) > 2) & (tf.size(got) < 5) & (tf.reduce_prod(got[2:]) == features)
            x = checked(x, fits, f"{expected} row, got sizes ", got, advice)
        return tf.reshape(x, (-1, tf.shape(x)[1], features))

    def input_spec_by_name(self) -> tuple[str, Spec]:
        """Return name and spec of the input of the endpoint: `image`, or `sequence` of any length."""
        if self.example_shape is None:
            raise ValueError(
                f"model: expected a built {type(self).__name__}, whose input shape is known, got an unbuilt "
                "one. Call it on a batch first."
            )
        if len(self.example_shape) == 2:
            return "sequence", Spec(("batch", "sequence_time", self.features), "float32")
        return "image", Spec.named("image", (None, *self.example_shape), "float32")


@keras.saving.register_keras_serializable("keras_dl")
class SequenceClassifier(_SequenceModel, Classifier):
    """A recurrent classifier of whole sequences.

    h_1 ... h_T are the outputs of L recurrent layers over x_1 ... x_T; p(y | x) = softmax(W h_T + b). An
    image is the sequence of its rows.

    Args:
        cell: `"rnn"`, `"lstm"` or `"gru"`.
        units: H, the size of the state of each layer.
        num_classes: number of classes.
        image_shape: (H, W, C) of one image; if given, the model is built at once, otherwise on its first
            batch.
        num_layers: L.
        dropout: fraction of the outputs of each layer that is set to 0 in training, the same units at every
            step.
        memory_steps: the longest dependency in the data, for which `LongMemory` initializes the gates. None
            uses Keras's initialization.
        clipnorm: the largest norm of the gradient of all weights together; None for no limit. An optimizer
            that already clips gradients keeps its own limit.
        seed: seed of the dropout.

    Input: sequences (B, T, D) of any length T, or images (B, H, W, C) in [0, 1]. Output: probabilities (B,
    num_classes), float32. Steps masked by a `keras.layers.Masking` before the model are skipped.

    Raises:
        ValueError: an argument is out of range, inputs have another shape, or images are outside [0, 1]; in
            training, a label is not a class.

    Reference: notes 5; Le, Jaitly and Hinton, A simple way to initialize recurrent networks of rectified
    linear units (2015), for images as sequences.
    """

    def __init__(
        self,
        cell: CellName = "lstm",
        units: int = 128,
        num_classes: int = 10,
        *,
        image_shape: Sequence[int] | None = None,
        num_layers: int = 1,
        dropout: float = 0.0,
        memory_steps: int | None = None,
        clipnorm: float | None = 1.0,
        seed: int = 0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(
            cell,
            units,
            num_layers=num_layers,
            dropout=dropout,
            memory_steps=memory_steps,
            clipnorm=clipnorm,
            seed=seed,
            num_classes=num_classes,
            head_size=num_classes,
            **kwargs,
        )
        if image_shape is not None:
            self.build((None, *check_image_shape(image_shape)))

    def logits(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        return self.head(self.last_output(inputs, training, mask))

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        return keras.activations.softmax(self.logits(inputs, training, mask))

    def checked_inputs(self, inputs: Any) -> Any:
        """Return `inputs`; check that images are in [0, 1]. Sequences may be any numbers."""
        return checked_images(inputs) if inputs.shape.rank == 4 else inputs

    def endpoints(self) -> dict[str, Endpoint]:
        """Return `serving_default(image)`, or `(sequence)`, `-> logits, probabilities, class`.

        Returns:
            The endpoints by name.

        Raises:
            ValueError: the model is not built.
        """
        return self.classifying_endpoint(*self.input_spec_by_name())

    def get_config(self) -> dict[str, Any]:
        is_image = self.example_shape is not None and len(self.example_shape) == 3
        return {**super().get_config(), "image_shape": self.example_shape if is_image else None}


@keras.saving.register_keras_serializable("keras_dl")
class SequenceRegressor(_SequenceModel):
    """A recurrent regressor of whole sequences, for example for the adding problem.

    h_1 ... h_T are the outputs of L recurrent layers over x_1 ... x_T; y = W h_T + b.

    Args:
        cell: `"rnn"`, `"lstm"` or `"gru"`.
        units: H, the size of the state of each layer.
        num_outputs: the size of y.
        num_layers: L.
        dropout: fraction of the outputs of each layer that is set to 0 in training, the same units at every
            step.
        memory_steps: the longest dependency in the data, for which `LongMemory` initializes the gates. None
            uses Keras's initialization.
        clipnorm: the largest norm of the gradient of all weights together; None for no limit. An optimizer
            that already clips gradients keeps its own limit.
        seed: seed of the dropout.

    Input: sequences (B, T, D) of any length T, or images (B, H, W, C). Output: y, (B, num_outputs), float32.
    Steps masked by a `keras.layers.Masking` before the model are skipped.

    Raises:
        ValueError: an argument is out of range, or inputs have another shape.

    Reference: notes 5; Hochreiter and Schmidhuber, Long short-term memory (1997).
    """

    def __init__(
        self,
        cell: CellName = "lstm",
        units: int = 128,
        num_outputs: int = 1,
        *,
        num_layers: int = 1,
        dropout: float = 0.0,
        memory_steps: int | None = None,
        clipnorm: float | None = 1.0,
        seed: int = 0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(
            cell,
            units,
            num_layers=num_layers,
            dropout=dropout,
            memory_steps=memory_steps,
            clipnorm=clipnorm,
            seed=seed,
            head_size=check_int("num_outputs", num_outputs),
            **kwargs,
        )
        self.num_outputs = int(num_outputs)

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        return self.head(self.last_output(inputs, training, mask))

    def endpoints(self) -> dict[str, Endpoint]:
        """Return `serving_default(sequence)`, or `(image)`, `-> value`.

        Returns:
            The endpoints by name.

        Raises:
            ValueError: the model is not built.
        """
        name, spec = self.input_spec_by_name()
        return {"serving_default": Endpoint(lambda **inputs: {"value": self(inputs[name])}, {name: spec})}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_outputs": self.num_outputs}
