"""What fit, evaluate and predict are given, checked inside the graph.

A data set shows its values only while it runs, so each check is part of the step: one or two reductions over
the batch and an assertion, about a hundredth of a training step, and none of it in exported functions. XLA
drops assertions, so it may compile only what follows the checks. TensorFlow would report a failed assertion
among a page of graph internals; `keras_dl.models.checked_model` reduces that to a `ValueError` of one
paragraph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

MARK = "keras_dl check: "  # opens the report of a failed check


def checked_images(image: Any) -> Any:
    """`image` itself, once all of its values lie between 0 and 1.

    Args:
        image: a batch of any shape, numbers or booleans; NaN fails too.

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
        ". Divide raw 8-bit images by 255; keras_dl.data.load does it for you.",
    )


def checked_finite(**batch: Any) -> tuple[Any, ...]:
    """The tensors themselves, once no number in them is NaN or infinite in float32.

    Not every such number shows: relu(NaN) is 0, so that a loss can stay finite while the weights become NaN.

    Args:
        **batch: tensors, nests of them, or None, by the names that the error uses.

    Returns:
        The same nests of tensors. All of them wait for the check.
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

    # A sum is finite in one pass where all numbers are; it may overflow, so that it does not decide alone.
    total = tf.add_n([tf.reduce_sum(each) for tensors in numbers.values() for each in tensors])
    broken = tf.cond(
        tf.math.is_finite(total),
        lambda: tf.zeros(len(numbers), tf.int64),
        lambda: tf.stack([count(tensors) for tensors in numbers.values()]),
    )
    found = [piece for place, name in enumerate(numbers) for piece in (f" {name} ", broken[place])]
    checks = checked(
        broken,
        tf.reduce_all(broken == 0),
        f"{', '.join(numbers)}: expected finite numbers, got NaN or infinity, so many times:",
        *found,
        ". Leave these examples out, or replace the values: numpy.isfinite finds them.",
    )
    with tf.control_dependencies([checks]):
        return tuple(
            tf.nest.map_structure(lambda each: tf.identity(each) if tf.is_tensor(each) else each, nest)
            for nest in batch.values()
        )


def _is_floating(value: Any) -> bool:
    return isinstance(value, tf.Tensor) and value.dtype.is_floating


def checked_labels(label: Any, num_classes: int) -> Any:
    """`label` itself, once all of its values are classes.

    Args:
        label: class numbers (B,) or (B, 1), whole numbers of any dtype; anything else, such as one-hot rows,
            passes unchecked.
        num_classes: the number of classes.

    Returns:
        The same tensor.
    """
    if label.dtype == tf.bool or label.shape.rank is None or label.shape[1:].num_elements() != 1:
        return label
    advice = "Number the classes from 0, or build the model with a larger num_classes."
    return _checked_ids(label, num_classes, "label: expected classes", advice)


def checked_classes(label: Any, num_classes: int) -> Any:
    """`label` as int32 of shape (B,), once there is one and it holds classes.

    Args:
        label: class numbers (B,) or (B, 1), whole numbers of any dtype, or None.
        num_classes: the number of classes.

    Returns:
        Classes (B,).

    Raises:
        ValueError: there is none, or it is of another shape.
    """
    label = tf.convert_to_tensor(given(label))
    if label.shape.rank is not None and label.shape[1:].num_elements() not in (1, None):
        raise ValueError(
            f"label: expected classes of shape (batch,), got {label.dtype.name} of shape "
            f"{tuple(label.shape)}. Turn one-hot rows into classes with argmax(axis=-1)."
        )
    return tf.cast(tf.reshape(checked_labels(label, num_classes), (-1,)), tf.int32)


def given(label: Any) -> Any:
    """`label` itself, once it is not None.

    Raises:
        ValueError: it is.
    """
    if label is None:
        raise ValueError(
            "label: expected inputs and labels, got inputs alone. Give pairs (input, label); "
            "keras_dl.data.load makes them unless labels=False."
        )
    return label


def unweighted(data: Any, model: str) -> tuple[Any, Any]:
    """Inputs and labels of what `fit` hands to a step, once no weights come with them.

    Args:
        data: inputs, (inputs, labels) or (inputs, labels, weights).
        model: the model's class name.

    Returns:
        Inputs and labels; None where there are no labels.

    Raises:
        ValueError: there are weights.
    """
    inputs, label, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError(
            f"sample_weight: expected none, because a {model} weighs all examples alike. Leave it out."
        )
    return inputs, label


def checked_tokens(tokens: Any, vocabulary_size: int, *, name: str) -> Any:
    """`tokens` themselves, once they are (B, T) and all of them in the vocabulary.

    Args:
        tokens: ids, whole numbers.
        vocabulary_size: the number of ids.
        name: what the error calls them.

    Returns:
        The same tensor.

    Raises:
        ValueError: they have another rank.
    """
    tokens = checked_shape(tf.convert_to_tensor(tokens), ("time",), name=name, model="LanguageModel")
    advice = "Encode the text with the vocabulary of the model."
    return _checked_ids(tokens, vocabulary_size, f"{name}: expected ids", advice)


def num_features_of(input_shape: Any, model: str) -> int:
    """D of the shape (B, D) of rows of numbers.

    Args:
        input_shape: a batch's shape.
        model: the model's class name.

    Raises:
        ValueError: it is the shape of something else.
    """
    shape = tuple(input_shape)
    if len(shape) != 2 or shape[1] is None:
        raise ValueError(
            f"features: expected rows of numbers, shape (batch, features), got shape {shape}. Flatten what a "
            f"{model} shall learn from: x.reshape(len(x), -1)."
        )
    return int(shape[1])


def checked_shape(batch: Any, shape: Sequence[int | str], *, name: str, model: str) -> Any:
    """`batch` itself, with its shape known, once it is (B, *shape).

    Args:
        batch: a batch of inputs.
        shape: the shape of one input; a name stands for any size.
        name: what the error calls the input.
        model: the model's class name.

    Returns:
        The same tensor.

    Raises:
        ValueError: the shapes differ, as far as they are known while the graph is made; the rest is asserted.
    """
    wanted = f"({', '.join(map(str, ('batch', *shape)))})"
    advice = f"Reshape the inputs, or build the {model} for the shape of your data."
    sizes = [None if isinstance(size, str) else size for size in shape]
    if not batch.shape.is_compatible_with((None, *sizes)):
        raise ValueError(f"{name}: expected shape {wanted}, got {tuple(batch.shape)}. {advice}")
    if batch.shape.rank is not None and all(
        size is None or known is not None for size, known in zip(sizes, batch.shape[1:], strict=True)
    ):
        return batch
    got = tf.shape(batch)  # Keras traces with unknown sizes, even ranks, once it has seen several
    rank = 1 + len(sizes)
    same_rank = tf.equal(tf.size(got), rank)
    # Filled up, as no other operation may fail before the assertion does.
    padded = tf.concat([got, tf.zeros(rank, tf.int32)], axis=0)[:rank]
    fitting = [tf.equal(padded[axis], size) for axis, size in enumerate(sizes, 1) if size is not None]
    fits = tf.reduce_all(tf.stack([same_rank, *fitting]))
    batch = checked(batch, fits, f"{name}: expected shape {wanted}, got sizes ", got, f". {advice}")
    # Not ensure_shape, which TensorFlow would take as proof of the sizes, and drop the check.
    return tf.reshape(batch, [padded[i] if size is None else size for i, size in enumerate([None, *sizes])])


def _checked_ids(ids: Any, count: int, expected: str, advice: str) -> Any:
    low, high = tf.reduce_min(ids), tf.reduce_max(ids)
    inside = (low >= tf.zeros((), low.dtype)) & (tf.cast(high, tf.int64) < count)
    if ids.dtype.is_floating:
        inside &= tf.reduce_all(tf.equal(ids, tf.floor(ids)))
    return checked(ids, inside, f"{expected} from 0 to {count - 1}, got ", low, " to ", high, f". {advice}")


def checked(tensor: Any, condition: Any, *pieces: Any) -> Any:
    """`tensor` itself, once the condition holds.

    Args:
        tensor: what depends on the condition.
        condition: a boolean scalar.
        *pieces: of the error's text: strings, and tensors whose values it shows.

    Returns:
        The same tensor.

    Raises:
        ValueError: the condition does not hold; in a graph, when it runs.
    """
    if tf.executing_eagerly():
        if not condition:
            raise ValueError(
                "".join(piece if isinstance(piece, str) else str(piece.numpy()) for piece in pieces)
            )
        return tensor
    with tf.control_dependencies([tf.debugging.Assert(condition, [MARK, *pieces], summarize=8)]):
        return tf.identity(tensor)  # what follows must wait for the check, or could fail before it
