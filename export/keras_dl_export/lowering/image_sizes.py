"""Image layers that decide in Python on the size of an image, traced for images of any size.

Keras takes such a decision where the size is a number, as in an eager call. In a graph the size is a tensor,
and Keras takes one branch for all images, or fails.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import keras
import keras.src.ops.image as of_keras
import tensorflow as tf

Tensor = Any
_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def any_image_size() -> Iterator[None]:
    """Trace `CenterCrop`, and resizing to a size that depends on the image's, for every size."""
    crop, resize = keras.layers.CenterCrop.transform_images, of_keras.resize

    def transform_images(layer: Any, images: Tensor, *arguments: Any, **named: Any) -> Tensor:
        images = tf.cast(images, layer.compute_dtype)
        first = -2 if layer.data_format == "channels_first" else -3
        sizes = [images.shape[first], images.shape[first + 1]]
        if tf.executing_eagerly() or None not in sizes:
            return crop(layer, images, *arguments, **named)
        targets = layer.height, layer.width
        # A smaller image is cut to the crop's proportions and resized, as Keras does it with known sizes.
        output = tf.cond(
            tf.reduce_all(tf.shape(images)[first:][:2] >= targets),
            lambda: crop(layer, images, *arguments, **named),
            lambda: tf.cast(
                keras.preprocessing.image.smart_resize(images, targets, data_format=layer.data_format),
                images.dtype,
            ),
        )
        output.set_shape(layer.compute_output_shape(images.shape))
        return output

    def resize_to(images: Tensor, size: Any, *arguments: Any, **named: Any) -> Tensor:
        # Keras asks whether the size is positive.
        known = not any(tf.is_symbolic_tensor(side) for side in size)
        return (resize if known else of_keras._resize)(images, size, *arguments, **named)

    with _one_at_a_time:
        keras.layers.CenterCrop.transform_images = transform_images
        of_keras.resize = keras.ops.image.resize = resize_to
        try:
            yield
        finally:
            keras.layers.CenterCrop.transform_images = crop
            of_keras.resize = keras.ops.image.resize = resize
