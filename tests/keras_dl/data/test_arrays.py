import re

import numpy as np
import pytest

from keras_dl.data import describe, load


def batch(source, **options):
    return next(iter(load(source, shuffle=False, **options).as_numpy_iterator()))


def test_uint8_images_are_scaled_and_get_a_channel():
    x = np.arange(12, dtype=np.uint8).reshape(3, 2, 2) * 20
    images, labels = batch((x, [2, 0, 1]))
    assert images.shape == (3, 2, 2, 1)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images[..., 0], x / 255.0, rtol=1e-6)
    assert labels.dtype == np.int32
    assert labels.tolist() == [2, 0, 1]
    description = describe((x, [2, 0, 1]))
    assert (description.image_shape, description.num_classes) == ((2, 2, 1), 3)
    assert description.num_examples == {"train": 3}


def test_float_images_pass_through():
    x = np.random.default_rng(0).random((5, 4, 4, 3))
    np.testing.assert_array_equal(batch(x, labels=False), x.astype(np.float32))


def test_two_dimensions_are_features():
    x = np.array([[1, -300], [2, 5]])
    features, labels = batch((x, ["cat", "ant"]))
    np.testing.assert_array_equal(features, x)
    assert features.dtype == np.float32
    assert labels.tolist() == [1, 0]
    description = describe((x, ["cat", "ant"]))
    assert (description.num_features, description.image_shape) == (2, None)
    assert description.class_names == ("ant", "cat")


def test_labels_of_keras_data_sets_have_a_column():
    assert batch((np.ones((2, 3)), np.array([[1], [0]])))[1].tolist() == [1, 0]


IMAGES = np.zeros((3, 4, 4, 1), np.uint8)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ((IMAGES, [0, 1]), "source: x has 3 examples and y has 2 labels."),
        (np.zeros((0, 4, 4)), "source: the array x of shape (0, 4, 4) is empty."),
        (np.zeros(3), "got an array of shape (3,)"),
        (None, "got an array of shape ()"),
        ([IMAGES, [0, 1, 2]], "expected an array x or a pair of arrays (x, y), got a list that is no array"),
        (IMAGES.astype(np.int64), "as uint8 in 0...255 or as floats in [0, 1], got dtype int64"),
        (IMAGES + 255.0, "expected float images in [0, 1], got values from 255 to 255"),
        (IMAGES - 1.0, "got values from -1 to -1"),
        (np.full((1, 2, 2), np.nan), "got values from nan to nan"),
        (np.array([["a", "b"]]), "expected features that are real numbers, got dtype <U1"),
        (np.array([[1.0, np.nan]]), "feature 1 of example 0 is nan"),
        ((IMAGES, [0, 1, -1]), "or names of classes, got dtype int64 with the value -1"),
        ((IMAGES, [0.5, 1, 2]), "got dtype float64 with the value 0.5"),
        ((IMAGES, np.eye(3)), "For one-hot labels pass y.argmax(axis=1)."),
        (IMAGES, "labels: arrays has no labels. Pass labels=False"),
    ],
)  # fmt: skip
def test_wrong_arrays_are_named(source, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        load(source)


def test_boolean_images_are_zeros_and_ones():
    image = np.eye(4)
    (batch,) = load([image == 1], labels=False).as_numpy_iterator()
    np.testing.assert_array_equal(batch, image.astype(np.float32)[None, :, :, None])


@pytest.mark.parametrize("source", [None, 5, {"x": IMAGES}])
def test_what_is_no_source_is_called_by_its_type(source):
    with pytest.raises(ValueError, match=rf"source: .* shape \(\) \(of type {type(source).__name__}\)"):
        load(source)


def test_features_cannot_be_resized():
    with pytest.raises(ValueError, match="image_size: arrays holds no images"):
        load(np.ones((3, 2)), labels=False, image_size=8)
