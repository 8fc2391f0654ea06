"""Checks of the batches of fit, evaluate and predict inside the graph.

The values of a data set are only known at run time, so each check is part of the step: one or two reductions
over the batch and an assertion, about 1% of a training step. Exported functions have no checks. XLA drops
assertions, so it must only compile the operations after the checks. TensorFlow reports a failed assertion
with a page of graph internals; `keras_dl.models.checked_model` converts it to a `ValueError` of one
paragraph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

MARK = "keras_dl check: "  # the start of the message of a failed check


def checked_images(image: Any) -> Any:
    """Return `image`, after a check that all values are between 0 and 1.

    Args:
        image: a batch of any shape, numbers or booleans; NaN fails, too.

    Returns:
        The same tensor.
    """
    if image.dtype == tf.bool:
        return image
    low, high = tf.reduce_min(image), tf.reduce_max(image)
    return checked(
        image,
        (low >= tf.zeros((), low.dtype)) & (high <= tf.ones((), high.dtype)),
        "image: expected values from 0 to 1, got values from ",
        low,
        " to ",
        high,
        ". Divide raw 8-bit images by 255, as keras_dl.data.load does.",
    )


def checked_finite(**batch: Any) -> tuple[Any, ...]:
    """Return the tensors, after a check that no value is NaN or infinite in float32.

    The loss alone does not show this: relu(NaN) is 0, so a loss may be finite although the weights become
    NaN.

    Args:
        **batch: tensors, nests of tensors, or None, by their names in the error.

    Returns:
        The same nests of tensors, with a control dependency on the check.
    """
    numbers = {
        name: [tf.cast(each, tf.float32) for each in tf.nest.flatten(nest) if _is_floating(each)]
        for name, nest in batch.items()
    }
    numbers = {name: tensors for name, tensors in numbers.items() if tensors}
    if not numbers:
        return tuple(batch.values())

    def count(tensors: list[Any]) -> Any:
        return tf.add_n([tf.math.count_nonzero(~tf.math.is_finite(each)) for each in tensors])

    # The sum is a one-pass test: it is finite only if all numbers are. It may overflow: then count them.
    total = tf.add_n([tf.reduce_sum(each) for tensors in numbers.values() for each in tensors])
    counts = tf.cond(
        tf.math.is_finite(total),
        lambda: tf.zeros(len(numbers), tf.int64),
        lambda: tf.stack([count(tensors) for tensors in numbers.values()]),
    )
    found = [piece for place, name in enumerate(numbers) for piece in (f" {name} ", counts[place])]
    checks = checked(
        counts,
        tf.reduce_all(counts == 0),
        f"{', '.join(numbers)}: expected finite numbers, got NaN or infinity, counts:",
        *found,
        ". Remove these examples, or replace the values; numpy.isfinite finds them.",
    )
    with tf.control_dependencies([checks]):
        return tuple(
            tf.nest.map_structure(lambda each: tf.identity(each) if tf.is_tensor(each) else each, nest)
            for nest in batch.values()
        )


def _is_floating(value: Any) -> bool:
    return isinstance(value, tf.Tensor) and value.dtype.is_floating


def checked_labels(label: Any, num_classes: int) -> Any:
    """Return `label`, after a check that all values are classes.

    Args:
        label: class numbers (B,) or (B, 1), integers of any dtype; other labels, such as one-hot rows, are
            not checked.
        num_classes: the number of classes.

    Returns:
        The same tensor.
    """
    if label.dtype == tf.bool or label.shape.rank is None or label.shape[1:].num_elements() != 1:
        return label
    advice = "Number the classes from 0, or build the model with a larger num_classes."
    return _checked_ids(label, num_classes, "label: expected classes", advice)


def checked_classes(label: Any, num_classes: int) -> Any:
    """Return `label` as int32 of shape (B,), after a check that all values are classes.

    Args:
        label: class numbers (B,) or (B, 1), integers of any dtype, or None.
        num_classes: the number of classes.

    Returns:
        Classes (B,).

    Raises:
        ValueError: `label` is None or has another shape.
    """
    label = tf.convert_to_tensor(given(label))
    if label.shape.rank is not None and label.shape[1:].num_elements() not in (1, None):
        raise ValueError(
            f"label: expected classes of shape (batch,), got {label.dtype.name} of shape "
            f"{tuple(label.shape)}. Convert one-hot rows to classes with argmax(axis=-1)."
        )
    return tf.cast(tf.reshape(checked_labels(label, num_classes), (-1,)), tf.int32)


def given(label: Any) -> Any:
    """Return `label` if it is not None.

    Raises:
        ValueError: `label` is None.
    """
    if label is None:
        raise ValueError(
            "label: expected inputs and labels, got only inputs. Pass pairs (input, label), which "
            "keras_dl.data.load returns unless labels=False."
        )
    return label


def unweighted(data: Any, model: str) -> tuple[Any, Any]:
    """Return inputs and labels of the data of a step, which must have no sample weights.

    Args:
        data: inputs, (inputs, labels) or (inputs, labels, weights).
        model: the class name of the model.

    Returns:
        Inputs and labels; the labels are None if missing.

    Raises:
        ValueError: the data has weights.
    """
    inputs, label, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError(
            f"sample_weight: expected None, because a {model} weights all examples equally. Omit it."
        )
    return inputs, label


def checked_tokens(tokens: Any, vocabulary_size: int, *, name: str) -> Any:
    """Return `tokens`, after a check that they are (B, T) and in the vocabulary.

    Args:
        tokens: ids, integers.
        vocabulary_size: the number of ids.
        name: the name of the tokens in errors.

    Returns:
        The same tensor.

    Raises:
        ValueError: the tokens have another rank.
    """
    tokens = checked_shape(tf.convert_to_tensor(tokens), ("time",), name=name, model="LanguageModel")
    advice = "Encode the text with the vocabulary of the model."
    return _checked_ids(tokens, vocabulary_size, f"{name}: expected ids", advice)


def num_features_of(input_shape: Any, model: str) -> int:
    """Return D of the shape (B, D) of a batch of features.

    Args:
        input_shape: the shape of the batch.
        model: the class name of the model.

    Raises:
        ValueError: the shape is not (B, D), or D is unknown.
    """
    shape = tuple(input_shape)
    if len(shape) != 2 or shape[1] is None:
        raise ValueError(
            f"features: expected rows of numbers, shape (batch, features), got shape {shape}. Flatten the "
            f"inputs of a {model}, x.reshape(len(x), -1)."
        )
    return int(shape[1])


def checked_shape(batch: Any, shape: Sequence[int | str], *, name: str, model: str) -> Any:
    """Return `batch` with its static shape, after a check that its shape is (B, *shape).

    Args:
        batch: a batch of inputs.
        shape: the shape of one input; a name accepts any size.
        name: the name of the input in errors.
        model: the class name of the model.

    Returns:
        The same tensor.

    Raises:
        ValueError: the static shapes differ; sizes unknown at tracing are asserted at run time.
    """
    expected = f"({', '.join(map(str, ('batch', *shape)))})"
    advice = f"Reshape the inputs, or build the {model} for the shape of your data."
    sizes = [None if isinstance(size, str) else size for size in shape]
    if not batch.shape.is_compatible_with((None, *sizes)):
        raise ValueError(f"{name}: expected shape {expected}, got {tuple(batch.shape)}. {advice}")
    if batch.shape.rank is not None and all(
        size is None or known is not None for size, known in zip(sizes, batch.shape[1:], strict=True)
    ):
        return batch
    got = tf.shape(batch)  # Keras traces with unknown sizes or ranks after several shapes
    rank = 1 + len(sizes)
    same_rank = tf.equal(tf.size(got), rank)
    # Padded, so that no other operation fails before the assertion.
    padded = tf.concat([got, tf.zeros(rank, tf.int32)], axis=0)[:rank]
    equal = [tf.equal(padded[axis], size) for axis, size in enumerate(sizes, 1) if size is not None]
    matches = tf.reduce_all(tf.stack([same_rank, *equal]))
    batch = checked(batch, matches, f"{name}: expected shape {expected}, got sizes ", got, f". {advice}")
    # Not ensure_shape: TensorFlow would infer the sizes from it and remove the check.
    return tf.reshape(batch, [padded[i] if size is None else size for i, size in enumerate([None, *sizes])])


def _checked_ids(ids: Any, count: int, expected: str, advice: str) -> Any:
    low, high = tf.reduce_min(ids), tf.reduce_max(ids)
    inside = (low >= tf.zeros((), low.dtype)) & (tf.cast(high, tf.int64) < count)
    if ids.dtype.is_floating:
        inside &= tf.reduce_all(tf.equal(ids, tf.floor(ids)))
    return checked(ids, inside, f"{expected} from 0 to {count - 1}, got ", low, " to ", high, f". {advice}")


def checked(tensor: Any, condition: Any, *pieces: Any) -> Any:
    """Return `tensor`, after a check of the condition.

    Args:
        tensor: the tensor that depends on the condition.
        condition: a boolean scalar.
        *pieces: the parts of the error text: strings, and tensors whose values are inserted.

    Returns:
        The same tensor.

    Raises:
        ValueError: the condition is false; a graph raises it at run time.
    """
    if tf.executing_eagerly():
        if not condition:
            raise ValueError(
                "".join(piece if isinstance(piece, str) else str(piece.numpy()) for piece in pieces)
            )
        return tensor
    with tf.control_dependencies([tf.debugging.Assert(condition, [MARK, *pieces], summarize=8)]):
        return tf.identity(tensor)  # dependent operations must run after the check
