"""Operators over whole axes that TFLite does not have, and operators that index by integer values."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.tensor_util import constant_value_as_shape

from keras_dl_export.lowering.operators import Operator, Replacement

Tensor = Any


def _constant(tensor: Tensor) -> Any:
    return tf.get_static_value(tensor)


def _roll(operator: Operator) -> Tensor:
    """Swap the two parts of each axis."""
    x, shifts, axes = operator.inputs
    for shift, axis in zip(np.ravel(_constant(shifts)), np.ravel(_constant(axes)), strict=True):
        axis = axis % x.shape.rank
        size = x.shape[axis] if x.shape[axis] is not None else tf.shape(x)[axis]
        split = (-int(shift)) % size
        before = (slice(None),) * int(axis)
        x = tf.concat([x[(*before, slice(split, None))], x[(*before, slice(None, split))]], axis)
    return x


def _rolls_known_axes(operator: Operator) -> bool:
    x, shifts, axes = operator.inputs
    return x.shape.rank is not None and _constant(shifts) is not None and _constant(axes) is not None


def _cumprod(operator: Operator) -> Tensor:
    """Multiply by the values 1, 2, 4 ... positions before: each step doubles the factors of a product."""
    x, axes = operator.inputs
    axis = int(_constant(axes)) % x.shape.rank
    size = x.shape[axis]
    if operator.attributes["reverse"].b:
        x = tf.reverse(x, [axis])
    places, exclusive = 1, operator.attributes["exclusive"].b
    if exclusive:
        x = _shifted(x, axis, 1)
    while places < size:
        x, places = x * _shifted(x, axis, places), 2 * places
    return tf.reverse(x, [axis]) if operator.attributes["reverse"].b else x


def _shifted(x: Tensor, axis: int, places: int) -> Tensor:
    """Return x shifted toward the end, with ones in front."""
    before = (slice(None),) * axis
    return tf.concat(
        [tf.ones_like(x[(*before, slice(None, places))]), x[(*before, slice(None, -places))]], axis
    )


def _spans_a_known_axis(operator: Operator) -> bool:
    x, axes = operator.inputs
    axis = _constant(axes)
    return axis is not None and x.shape.rank is not None and x.shape[int(axis)] is not None


def _one_hot(operator: Operator) -> Tensor:
    """Compare in int64: TFLite's ONE_HOT uses int32, where 2^32 + 1 would be 1."""
    x, depth, on, off = operator.inputs
    axis = operator.attributes["axis"].i % (x.shape.rank + 1)
    classes = tf.cast(tf.range(depth), x.dtype)
    return tf.where(_equal(tf.expand_dims(x, axis), _along(classes, axis, x.shape.rank + 1)), on, off)


def _equal(x: Tensor, y: Tensor) -> Tensor:
    """Compare int64 by a difference: the converter turns a comparison with a range into ONE_HOT."""
    return tf.equal(x - y, tf.zeros((), x.dtype)) if x.dtype == "int64" else tf.equal(x, y)


def _meets_a_range(operator: Operator) -> bool:
    if operator.inputs[0].dtype != "int64":
        return False
    known = [value.ravel() for tensor in operator.inputs if (value := _constant(tensor)) is not None]
    return any(each.size > 1 and np.array_equal(each, np.arange(each.size)) for each in known)


def _along(vector: Tensor, axis: int, rank: int) -> Tensor:
    return tf.reshape(vector, [-1 if place == axis else 1 for place in range(rank)])


def _takes_any_int64(operator: Operator) -> bool:
    """Return whether classes are int64 that were not cast from narrower integers, as Keras does."""
    x = operator.inputs[0]
    wide = x.dtype == "int64" and x.shape.rank is not None
    while wide and getattr(x, "op", None) is not None and x.op.type in ("Cast", "Reshape"):
        x = x.op.inputs[0]
        wide = not x.dtype.is_integer or x.dtype.size >= 8
    return wide


def _bincount(operator: Operator) -> Tensor:
    """Compare every value with every class and count."""
    x, size, weights = operator.inputs
    equal = _equal(tf.expand_dims(x, -1), tf.cast(tf.range(size), x.dtype))
    if operator.attributes["binary_output"].b:
        return tf.cast(tf.reduce_any(equal, -2), weights.dtype)
    counted = tf.cast(equal, weights.dtype)
    return tf.reduce_sum(counted if weights.shape == (0,) else counted * tf.expand_dims(weights, -1), -2)


def _counts_known_weights(operator: Operator) -> bool:
    return operator.inputs[0].shape.rank is not None and operator.inputs[2].shape.rank is not None


def _segment_sum(operator: Operator) -> Tensor:
    """Sum unsorted segments: TFLite's SEGMENT_SUM fails if a segment is empty."""
    x, segments = operator.inputs
    known = _constant(segments)
    count = tf.reduce_max(segments) + 1 if known is None else int(known.max()) + 1
    return tf.math.unsorted_segment_sum(x, segments, count)


def _reshape(operator: Operator) -> Tensor:
    """Set the known sizes of a concatenated shape, as in `repeat`, which the converter loses."""
    x, shape = operator.inputs
    sizes = _sizes(shape)
    return tf.reshape(x, tf.stack([shape[axis] if size is None else size for axis, size in enumerate(sizes)]))


def _sizes(shape: Tensor) -> list[int | None]:
    known = constant_value_as_shape(shape)
    if known.rank is None:
        return []
    *first, last = shape.op.inputs[:-1]
    if len(first) == 1 and first[0].op.type == "GatherV2" and np.array_equal(_constant(last), [-1]):
        return [*known[:-1], _rest(first[0])]
    return list(known)


def _rest(gathered: Tensor) -> int | None:
    """Return the number of elements of the axes that are not among the gathered ones, or None."""
    shape, places = gathered.op.inputs[0], _constant(gathered.op.inputs[1])
    if shape.op.type != "Shape" or places is None:
        return None
    others = [size for axis, size in enumerate(shape.op.inputs[0].shape) if axis not in places]
    return None if None in others else int(np.prod(others))


def _has_known_sizes(operator: Operator) -> bool:
    shape = operator.inputs[1]
    if getattr(shape, "op", None) is None or shape.op.type != "ConcatV2":
        return False
    sizes = _sizes(shape)
    return None in sizes and any(size is not None for size in sizes)


def _known(operator: Operator) -> Tensor:
    """Return the constant that Keras computes from sizes in float64, which TFLite does not have."""
    value = _constant(operator.inputs[0])
    return tf.constant(value.astype(np.float64))


def _is_known_float64(operator: Operator) -> bool:
    wide = tf.dtypes.as_dtype(operator.attributes["DstT"].type) == tf.float64
    return wide and _constant(operator.inputs[0]) is not None


def _cross(operator: Operator) -> Tensor:
    (a, b, c), (d, e, f) = (tf.unstack(tensor, 3, axis=-1) for tensor in operator.inputs)
    return tf.stack([b * f - c * e, c * d - a * f, a * e - b * d], -1)


ON_ARRAYS = {
    "Cast": Replacement(_known, _is_known_float64),
    "Cross": Replacement(_cross),
    "Cumprod": Replacement(_cumprod, _spans_a_known_axis),
    "DenseBincount": Replacement(_bincount, _counts_known_weights),
    "Equal": Replacement(lambda operator: _equal(*operator.inputs), _meets_a_range),
    "OneHot": Replacement(_one_hot, _takes_any_int64),
    "Reshape": Replacement(_reshape, _has_known_sizes),
    "Roll": Replacement(_roll, _rolls_known_axes),
    "SegmentSum": Replacement(_segment_sum),
}
