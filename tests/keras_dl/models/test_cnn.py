"""The CNN's size, what it learns in seconds, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_dl import load_model
from keras_dl.models import CNN

IMAGES = np.random.default_rng(0).random((12, 8, 8, 1), dtype=np.float32)
LABELS = np.arange(12) % 3


def small() -> Any:
    model = CNN(3, (8, 8, 1), filters=(2, 3))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("image_shape", [(28, 28, 1), (32, 32, 3), (8, 8, 1)])
def test_it_has_fewer_than_100_000_parameters(image_shape: tuple[int, int, int]) -> None:
    model = CNN(10, image_shape)
    assert 10_000 < model.count_params() < 100_000
    assert model(np.zeros((2, *image_shape), "float32")).shape == (2, 10)


@pytest.mark.slow
def test_it_learns_the_digits() -> None:
    digits = load_digits()
    images, labels = (digits.images[..., None] / 16).astype("float32"), digits.target
    model = CNN(10, (8, 8, 1))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images[:1400], labels[:1400], batch_size=64, epochs=8, verbose=0)
    assert model.evaluate(images[1400:], labels[1400:], verbose=0, return_dict=True)["accuracy"] > 0.93


def test_whole_numbers_are_as_good_as_floats() -> None:
    model, black_and_white = small(), (IMAGES > 0.5)
    np.testing.assert_array_equal(
        model.predict(black_and_white.astype("uint8"), verbose=0),
        model.predict(black_and_white.astype("float32"), verbose=0),
    )


@pytest.mark.parametrize(
    ("images", "received"),
    [
        ((IMAGES * 255).astype("uint8"), "from 0 to 25[0-9]"),
        (IMAGES - 0.5, "from -0.49"),
        (np.where(IMAGES > 0.9, np.nan, IMAGES), "nan"),
    ],
)
def test_images_outside_0_to_1_end_fit_evaluate_and_predict(images: Any, received: str) -> None:
    text = f"^image: expected values from 0 to 1, got .*{received}.*Divide"
    for method in (small().fit, small().evaluate):
        with pytest.raises(ValueError, match=text):
            method(images, LABELS, verbose=0)
    with pytest.raises(ValueError, match=text):
        small().predict(images, verbose=0)


@pytest.mark.parametrize("shape", [(12, 8, 8), (12, 8, 9, 1), (12, 8, 8, 3)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"image: expected shape \(batch, 8, 8, 1\), got .*build the CNN"):
        small().fit(np.zeros(shape, "float32"), LABELS, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"image_shape": (28, 28)}, "image_shape: expected \\(height, width, channels\\).*got \\(28, 28\\)"),
        ({"image_shape": (28, 28, 0)}, "image_shape: expected \\(height, width, channels\\)"),
        (
            {"image_shape": (4, 28, 1)},
            "image_shape: expected at least 8 x 8 pixels for 3 blocks, got \\(4, 28, 1\\)",
        ),
        ({"filters": (8, -1)}, "filters: expected an int of at least 1, got -1"),
        ({"dropout": 1}, "dropout: expected a fraction of at least 0 and below 1, got 1"),
        ({"num_classes": 0}, "num_classes: expected an int of at least 2, got 0"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        CNN(**arguments)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match="path: expected a .keras file, got .*nothing.keras, which does not exist"
    ):
        load_model(tmp_path / "nothing.keras")


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.keras").write_text("not a model")
    with pytest.raises(ValueError, match="path: expected a .keras file .*got .*notes.keras.*model.save"):
        load_model(tmp_path / "notes.keras")
    with pytest.raises(ValueError, match="path: expected a .keras file"):
        load_model(tmp_path)


def test_a_class_that_nobody_registered_is_named(tmp_path: Path) -> None:
    class Stranger(CNN):
        pass

    Stranger(3, (8, 8, 1), filters=(2,)).save(tmp_path / "stranger.keras")
    with pytest.raises(ValueError, match="contains an unregistered class.*register_keras_serializable"):
        load_model(tmp_path / "stranger.keras")


def test_python_code_in_a_file_is_not_run_unasked(tmp_path: Path) -> None:
    doubled = keras.layers.Lambda(lambda x: 2 * x)
    keras.Sequential([keras.Input((3,)), doubled]).save(tmp_path / "doubled.keras")
    with pytest.raises(ValueError, match="contains Python code.*enable_unsafe_deserialization"):
        load_model(tmp_path / "doubled.keras")
