"""What fit, evaluate and predict are given, checked inside the graph.

A data set shows its values only while it runs, so each check is part of the step: one or two reductions over
the batch and an assertion, well below a hundredth of a training step, and none of it in exported functions.
(XLA drops assertions.) TensorFlow would report a failed assertion among a page of graph internals;
`CheckedModel` reduces that to a `ValueError` of one paragraph.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_dl.models.presets import load_preset
from keras_dl.models.replicas import weighed_replica

_MARK = "keras_dl check: "
_SHUFFLE = 8  # the place of shuffle among the arguments of fit after x


def checked_images(image: Any) -> Any:
    """`image` itself, once all of its values lie between 0 and 1.

    Args:
        image: a batch of any shape and numeric dtype; NaN fails too.

    Returns:
        The same tensor.
    """
    low, high = tf.reduce_min(image), tf.reduce_max(image)
    return _checked(
        image,
        (low >= tf.zeros((), low.dtype)) & (high <= tf.ones((), high.dtype)),
        "image: expected values from 0 to 1, got values from ",
        low,
        " to ",
        high,
        ". Divide raw 8-bit images by 255; keras_dl.data.load does it for you.",
    )


def checked_labels(label: Any, num_classes: int) -> Any:
    """`label` itself, once all of its values are classes.

    Args:
        label: class numbers (B,) or (B, 1) of an integer dtype; anything else, such as one-hot rows, passes
            unchecked.
        num_classes: the number of classes.

    Returns:
        The same tensor.
    """
    if not label.dtype.is_integer or label.shape.rank is None or label.shape[1:].num_elements() != 1:
        return label
    advice = "Number the classes from 0, or build the model with a larger num_classes."
    return _checked_ids(label, num_classes, "label: expected classes", advice)


def checked_tokens(tokens: Any, vocabulary_size: int) -> Any:
    """`tokens` themselves, once all of them are in the vocabulary.

    Args:
        tokens: ids of an integer dtype and any shape.
        vocabulary_size: the number of ids.

    Returns:
        The same tensor.
    """
    advice = "Encode the text with the model's own vocabulary."
    return _checked_ids(tokens, vocabulary_size, "tokens: expected ids", advice)


def checked_shape(batch: Any, shape: tuple[int, ...], *, name: str, model: str) -> Any:
    """`batch` itself, with its shape known, once it is (B, *shape).

    Args:
        batch: a batch of inputs.
        shape: the shape of one input.
        name: what the error calls the input.
        model: the model's class name.

    Returns:
        The same tensor.

    Raises:
        ValueError: the shapes differ, as far as they are known while the graph is made; the rest is asserted.
    """
    wanted = f"({', '.join(map(str, ('batch', *shape)))})"
    advice = f"Reshape the inputs, or build the {model} for the shape of your data."
    if not batch.shape.is_compatible_with((None, *shape)):
        raise ValueError(f"{name}: expected shape {wanted}, got {tuple(batch.shape)}. {advice}")
    if batch.shape.rank is not None and None not in batch.shape[1:]:
        return batch
    got = tf.shape(batch)  # Keras traces with unknown sizes once it has seen several
    fits = tf.reduce_all(tf.equal(got[1:], shape))
    batch = _checked(batch, fits, f"{name}: expected shape {wanted}, got sizes ", got, f". {advice}")
    return tf.ensure_shape(batch, (None, *shape))


class CheckedModel(keras.Model):
    """A `keras.Model` that reports a failed check as a `ValueError` of one paragraph.

    Where there is a preset, it comes trained.
    """

    train_function: Any
    test_function: Any
    predict_function: Any

    @classmethod
    def from_preset(cls, name: str) -> Any:
        """A trained model, with the weights that this package ships.

            >>> vae = VAE.from_preset("vae-digits")
            >>> images = vae.sample(16)

        It is ready to predict, sample, export and serve; to train it on, compile it.

        Args:
            name: one of `keras_dl.models.list_presets()`.

        Returns:
            The model.

        Raises:
            LookupError: there is no such preset.
            TypeError: it is a model of another class.
            RuntimeError: the file of its weights is not the one that was shipped.
        """
        return load_preset(cls, name)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the saved model was, with room for the state of its optimizer."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.fit`; a `tf.data.Dataset` has its own order, of which Keras need not warn."""
        if isinstance(x, tf.data.Dataset) and len(args) < _SHUFFLE:
            kwargs.setdefault("shuffle", False)
        return super().fit(x, *args, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """As `keras.Model.compute_loss`; replicas of unequal shares count by their examples."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return weighed_replica(loss, x) if training else loss

    def make_train_function(self, force: bool = False) -> Any:
        if self.train_function is None or force:
            super().make_train_function(force)
            self.train_function = _explaining(self.train_function)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        if self.test_function is None or force:
            super().make_test_function(force)
            self.test_function = _explaining(self.test_function)
        return self.test_function

    def make_predict_function(self, force: bool = False) -> Any:
        if self.predict_function is None or force:
            super().make_predict_function(force)
            self.predict_function = _explaining(self.predict_function)
        return self.predict_function


def _checked_ids(ids: Any, count: int, expected: str, advice: str) -> Any:
    low, high = tf.reduce_min(ids), tf.reduce_max(ids)
    inside = (low >= tf.zeros((), low.dtype)) & (tf.cast(high, tf.int64) < count)
    return _checked(ids, inside, f"{expected} from 0 to {count - 1}, got ", low, " to ", high, f". {advice}")


def _checked(tensor: Any, condition: Any, *pieces: Any) -> Any:
    if tf.executing_eagerly():
        if not condition:
            raise ValueError(
                "".join(piece if isinstance(piece, str) else str(piece.numpy()) for piece in pieces)
            )
        return tensor
    with tf.control_dependencies([tf.debugging.Assert(condition, [_MARK, *pieces], summarize=8)]):
        return tf.identity(tensor)  # what follows must wait for the check, or could fail before it


def _explaining(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def explained(*args: Any) -> Any:
        try:
            return function(*args)
        except tf.errors.InvalidArgumentError as error:
            _, mark, report = error.message.partition(f"[{_MARK}]")
            if not mark:
                raise
            line = report.partition("\n")[0]
            raise ValueError("".join(re.findall(r"\[([^\]]*)\]", line))) from None

    return explained
