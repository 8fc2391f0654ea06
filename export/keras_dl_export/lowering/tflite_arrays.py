"""Operators over whole axes that TFLite lacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_dl_export.lowering.operators import Operator, Replacement

Tensor = Any


def _constant(tensor: Tensor) -> Any:
    import tensorflow as tf

    return tf.get_static_value(tensor)


def _roll(operator: Operator) -> Tensor:
    """Exchange the two parts of each axis."""
    import tensorflow as tf

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
    """Multiply by what is 1, 2, 4 ... places before: each product then spans twice as many factors."""
    import tensorflow as tf

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
    """Return x with ones in front and as much less at the end."""
    import tensorflow as tf

    before = (slice(None),) * axis
    return tf.concat(
        [tf.ones_like(x[(*before, slice(None, places))]), x[(*before, slice(None, -places))]], axis
    )


def _spans_a_known_axis(operator: Operator) -> bool:
    x, axes = operator.inputs
    axis = _constant(axes)
    return axis is not None and x.shape.rank is not None and x.shape[int(axis)] is not None


ON_ARRAYS = {
    "Cumprod": Replacement(_cumprod, _spans_a_known_axis),
    "Roll": Replacement(_roll, _rolls_known_axes),
}
