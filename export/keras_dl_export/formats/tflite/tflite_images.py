"""Image operators that TFLite does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.tensor_util import constant_value_as_shape

from keras_dl_export.lowering.operators import Operator, Replacement

Tensor = Any


def _constant(tensor: Tensor) -> Any:
    """Return a tensor's value if it is known, including quotients of known sizes."""
    value = tf.get_static_value(tensor)
    if value is None and tensor.op.type == "StridedSlice" and tensor.shape.rank == 1:
        sizes = constant_value_as_shape(tensor)
        return np.array(sizes, np.int32) if sizes.is_fully_defined() else None
    if value is not None or tensor.op.type not in ("Cast", "RealDiv"):
        return value
    parts = [_constant(part) for part in tensor.op.inputs]
    if any(part is None for part in parts):
        return None
    return parts[0] / parts[1] if len(parts) == 2 else parts[0].astype(tensor.dtype.as_numpy_dtype)


def _hsv_of_rgb(operator: Operator) -> Tensor:
    """Convert RGB to HSV: the hue follows from the largest channel; gray has hue 0, black saturation 0."""
    (images,) = operator.inputs
    red, green, blue = tf.unstack(images, axis=-1)
    value = tf.reduce_max(images, -1)
    spread = value - tf.reduce_min(images, -1)
    gray = spread <= 0.0
    scale = 1.0 / 6.0 / tf.where(gray, tf.ones_like(spread), spread)
    hue = tf.where(
        tf.equal(red, value),
        scale * (green - blue),
        tf.where(tf.equal(green, value), scale * (blue - red) + 2.0 / 6.0, scale * (red - green) + 4.0 / 6.0),
    )
    none = tf.logical_or(gray, tf.not_equal(hue, hue))  # an infinite channel has no hue
    hue = tf.where(none, tf.zeros_like(hue), tf.where(hue < 0.0, hue + 1.0, hue))
    lit = value > 0.0
    saturation = tf.where(lit, spread / tf.where(lit, value, tf.ones_like(value)), tf.zeros_like(value))
    return tf.stack([hue, saturation, value], -1)


def _rgb_of_hsv(operator: Operator) -> Tensor:
    """Convert HSV to RGB: a channel falls to (1 - saturation) with the distance of the hue from its own."""
    hue, saturation, value = tf.unstack(operator.inputs[0], axis=-1)
    hue = 6.0 * hue
    shares = (tf.abs(hue - 3.0) - 1.0, 2.0 - tf.abs(hue - 2.0), 2.0 - tf.abs(hue - 4.0))
    channels = [(1.0 - saturation + saturation * tf.clip_by_value(each, 0.0, 1.0)) * value for each in shares]
    return tf.stack(channels, -1)


def _resize(operator: Operator) -> Tensor:
    """Multiply rows and columns by one matrix each: every interpolation is linear in the pixels."""
    images = tf.cast(operator.inputs[0], tf.float32)
    rows, columns = (_weights(operator, axis) for axis in (0, 1))
    turned = tf.matmul(rows, tf.transpose(images, (0, 2, 1, 3)))
    return tf.matmul(columns, tf.transpose(turned, (0, 2, 1, 3)))


def _weights(operator: Operator, axis: int) -> Tensor:
    """Return the resize matrix of an axis, computed by TensorFlow's operator if all sizes are known."""
    images, size = operator.inputs[:2]
    if not _has_known_sizes(operator):
        return _bicubic(tf.shape(images)[1 + axis], size[axis])
    given, wanted = images.shape[1 + axis], int(_constant(size)[axis])
    with tf.init_scope():
        identity = tf.reshape(tf.eye(given), (given, given, 1, 1))
        resized = _resize_rows(operator, axis, identity, tf.constant([wanted, 1]))
        return tf.constant(resized.numpy()[:, :, 0, 0].T)


def _resize_rows(operator: Operator, axis: int, images: Tensor, size: Tensor) -> Tensor:
    flags = {
        name: operator.attributes[name].b
        for name in ("align_corners", "half_pixel_centers", "antialias")
        if name in operator.attributes
    }
    if operator.type != "ScaleAndTranslate":
        return getattr(tf.raw_ops, operator.type)(images=images, size=size, **flags)
    scale, translation = (float(_constant(tensor)[axis]) for tensor in operator.inputs[2:])
    kernel = operator.attributes["kernel_type"].s.decode()
    return tf.raw_ops.ScaleAndTranslate(
        images=images,
        size=size,
        scale=[scale, 1.0],
        translation=[translation, 0.0],
        kernel_type=kernel,
        **flags,
    )


def _bicubic(given: Tensor, wanted: Tensor) -> Tensor:
    """Return the weights of Keys' kernel with a = -1/2; TensorFlow uses a table of 1024 positions."""
    scale = tf.cast(given, tf.float32) / tf.cast(wanted, tf.float32)
    places = (tf.cast(tf.range(wanted), tf.float32) + 0.5) * scale - 0.5
    before = tf.floor(places)
    rounded = before + tf.round((places - before) * 1024.0) / 1024.0
    d = tf.abs(rounded[:, None] - tf.cast(tf.range(given), tf.float32)[None, :])
    near, far = (1.5 * d - 2.5) * d * d + 1.0, ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0
    kernel = tf.where(d < 1.0, near, tf.where(d < 2.0, far, tf.zeros_like(d)))
    return kernel / tf.reduce_sum(kernel, 1, keepdims=True)


def _has_known_sizes(operator: Operator) -> bool:
    images, *numbers = operator.inputs
    sides = [] if images.shape.rank is None else images.shape[1:3]
    return None not in sides and all(_constant(tensor) is not None for tensor in numbers)


def _has_known_sizes_or_table(operator: Operator) -> bool:
    attributes = operator.attributes
    centered = attributes["half_pixel_centers"].b and not attributes["align_corners"].b
    return _has_known_sizes(operator) or bool(centered and operator.inputs[0].shape.rank is not None)


ON_IMAGES = {
    "HSVToRGB": Replacement(_rgb_of_hsv),
    "RGBToHSV": Replacement(_hsv_of_rgb),
    "ResizeArea": Replacement(_resize, _has_known_sizes),
    "ResizeBicubic": Replacement(_resize, _has_known_sizes_or_table),
    "ScaleAndTranslate": Replacement(_resize, _has_known_sizes),
}
