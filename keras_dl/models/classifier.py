"""The base class of the classifiers: outputs, checks and endpoint."""

from __future__ import annotations

from typing import Any, Unpack

import keras
import tensorflow as tf
from keras import ops

from keras_dl.models.batch_checks import checked_labels
from keras_dl.models.checked_model import CheckedModel
from keras_dl.models.model_options import ModelOptions
from keras_dl_export import Endpoint, Spec
from keras_dl_export.arguments import check_int


class Classifier(CheckedModel):
    """The base class of models p(y = c | x) = softmax(logits(x))_c.

    Calling the model returns the probabilities (B, num_classes). Keras's cross-entropies use the logits that
    the probabilities were computed from, so training is as stable as with logits, with `from_logits` True or
    False. Subclasses implement `logits`.

    Args:
        num_classes: the number of classes, at least 2.

    Raises:
        ValueError: `num_classes` is below 2; in training, a label is not a class.
    """

    def __init__(self, num_classes: int, **kwargs: Unpack[ModelOptions]) -> None:
        super().__init__(**kwargs)
        self.num_classes = check_int("num_classes", num_classes, 2)

    def logits(self, inputs: Any, training: bool = False) -> Any:
        """Return the input of the softmax, in float32.

        Args:
            inputs: a batch of inputs of the model.
            training: whether batch normalization and dropout behave as in training.

        Returns:
            Logits (B, num_classes).
        """
        raise NotImplementedError

    def call(self, inputs: Any, training: bool = False) -> Any:
        return keras.activations.softmax(self.logits(inputs, training))

    def checked_batch(self, x: Any, y: Any) -> tuple[Any, Any]:
        x = self.checked_inputs(ops.convert_to_tensor(x))
        return x, None if y is None else checked_labels(ops.convert_to_tensor(y), self.num_classes)

    def checked_inputs(self, inputs: Any) -> Any:
        """Return `inputs`; subclasses override this to check their range."""
        return inputs

    def classify(self, inputs: Any) -> dict[str, Any]:
        """Return the outputs of the endpoint.

        Args:
            inputs: a batch of inputs of the model.

        Returns:
            `logits` and `probabilities`, both (B, num_classes), and `class` (B,), the most probable one.
        """
        logits = self.logits(inputs, training=False)
        return {
            "logits": logits,
            "probabilities": ops.softmax(logits),
            # Keras's argmax masks sign bits first (0.0 = -0.0), with operators that TFLite lacks.
            "class": tf.argmax(logits, axis=-1, output_type=tf.int32),
        }

    def classifying_endpoint(self, name: str, spec: Spec) -> dict[str, Endpoint]:
        """Return `classify` as the endpoint `serving_default`.

        Args:
            name: name of the input.
            spec: shape and dtype of the input.

        Returns:
            The endpoints.
        """
        return {"serving_default": Endpoint(lambda **inputs: self.classify(inputs[name]), {name: spec})}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes}
