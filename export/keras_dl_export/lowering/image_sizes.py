"""Image layers that branch in Python on the size of an image, traced for images of any size.

Keras evaluates such a branch if the size is a number, as in an eager call. In a graph the size is a tensor,
and Keras uses one branch for all images, or fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import keras.src.ops.image as of_keras
import tensorflow as tf

from keras_dl_export.lowering.patching import patched

Tensor = Any


@contextlib.contextmanager
def any_image_size() -> Iterator[None]:
    """Trace `CenterCrop`, and resizing to a size that depends on the image size, for every size."""
    with (
        patched(keras.layers.CenterCrop, "transform_images", _crop_any_size),
        patched(of_keras, "resize", _resize_to_any_size),
        patched(keras.ops.image, "resize", _resize_to_any_size),
    ):
        yield


def _crop_any_size(crop: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def transform_images(layer: Any, images: Tensor, *arguments: Any, **named: Any) -> Tensor:
        images = tf.cast(images, layer.compute_dtype)
        first = -2 if layer.data_format == "channels_first" else -3
        sizes = [images.shape[first], images.shape[first + 1]]
        if tf.executing_eagerly() or None not in sizes:
            return crop(layer, images, *arguments, **named)
        targets = layer.height, layer.width
        # A smaller image is cropped to the aspect ratio and resized, as Keras does for known sizes.
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

    return transform_images


def _resize_to_any_size(resize: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def resize_to(images: Tensor, size: Any, *arguments: Any, **named: Any) -> Tensor:
        # Keras compares the size with 0, which fails for a tensor.
        known = not any(tf.is_symbolic_tensor(side) for side in size)
        return (resize if known else of_keras._resize)(images, size, *arguments, **named)

    return resize_to
