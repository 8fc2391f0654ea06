"""Image layers in every format: sizes on both sides of a threshold, and augmentation, which is inactive."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_dl_export import load_artifact, to_onnx, to_saved_model, to_tflite

FORMATS = pytest.mark.parametrize("write", [to_saved_model, to_tflite, to_onnx])
SIZES = [(17, 40), (40, 40), (24, 24), (25, 23), (7, 5)]


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).random((2, height, width, 3), np.float32)


def check(write: Any, path: Path, build: Callable[[Any], Any], sizes: Any = SIZES) -> None:
    """Compare the file with the eager model, in which every size is known."""
    x = keras.Input((None, None, 3), name="x")
    model = keras.Model(x, build(x))
    runner = load_artifact(write(model, path).path)
    for size in sizes:
        (answer,) = runner({"x": images(*size)}).values()
        np.testing.assert_allclose(answer, model(images(*size)), rtol=1e-5, atol=1e-5)


@FORMATS
@pytest.mark.parametrize("crop", [(24, 24), (9, 30)], ids=str)
def test_center_crop_of_images_larger_and_smaller_than_the_crop(
    write: Any, crop: tuple[int, int], tmp_path: Path
) -> None:
    check(write, tmp_path / "model", lambda x: layers.CenterCrop(*crop)(x))


@FORMATS
def test_upsampling_of_images_of_any_size(write: Any, tmp_path: Path) -> None:
    check(write, tmp_path / "model", lambda x: layers.UpSampling2D((2, 3), interpolation="bilinear")(x))


@FORMATS
def test_resizing_to_the_size_of_another_image(write: Any, tmp_path: Path) -> None:
    class Like(layers.Layer):
        def call(self, x: Any, reference: Any) -> Any:
            return ops.image.resize(x, ops.shape(reference)[1:3])

        def compute_output_shape(self, x_shape: Any, reference_shape: Any) -> Any:
            return reference_shape

    check(write, tmp_path / "model", lambda x: Like()(x[:, ::2, ::2], x))


@FORMATS
def test_augmentation_changes_no_image_and_no_generator(write: Any, tmp_path: Path) -> None:
    augmentation = keras.Sequential(
        [
            keras.Input((20, 20, 3), name="x"),
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.RandomCrop(16, 16),
            layers.RandomContrast(0.2),
            layers.RandomBrightness(0.2),
            layers.RandomHue(0.2, value_range=(0, 1)),
            layers.RandomErasing(),
            layers.GaussianNoise(0.1),
            layers.Dropout(0.5),
        ]
    )
    before = [variable.numpy() for variable in augmentation.variables]
    assert before
    runner = load_artifact(write(augmentation, tmp_path / "model").path)
    (answer,) = runner({"x": images(20, 20)}).values()
    np.testing.assert_array_equal(answer, images(20, 20))
    for variable, kept in zip(augmentation.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), kept)
