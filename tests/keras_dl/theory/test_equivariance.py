"""Convolution as a matrix, and shifts, against the layers on real images."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_dl.layers import Conv2D
from keras_dl.theory import convolution_matrix, equivariance_gap, invariance_gap, shift_images

DIGITS = (load_digits().images[:20, :, :, None] / 16).astype("float32")
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def roomy():
    """Digits with zeros around, so that a shift loses nothing: (20, 20, 20, 1)."""
    return np.pad(DIGITS, ((0, 0), (6, 6), (6, 6), (0, 0)))


def convolve(filters=4, kernel=3, **arguments):
    layer = Conv2D(filters, kernel, use_bias=False, **arguments)
    layer.build((None, None, None, 1))
    return layer


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("size", [(3, 3), (2, 4)])
def test_a_convolution_is_a_dense_layer(stride, padding, size):
    kernel = RNG.standard_normal((*size, 2, 3))
    images = RNG.standard_normal((4, 7, 6, 2)).astype("float32")
    layer = Conv2D(3, size, strides=stride, padding=padding, use_bias=False)
    layer.build(images.shape)
    layer.set_weights([kernel])
    matrix = convolution_matrix(kernel, 7, 6, stride=stride, padding=padding)
    expected = np.asarray(layer(images)).reshape(4, -1)
    np.testing.assert_allclose(images.reshape(4, -1) @ matrix, expected, atol=1e-5)
    dense = keras.layers.Dense(matrix.shape[1], use_bias=False)
    dense.build((None, matrix.shape[0]))
    dense.set_weights([matrix])
    np.testing.assert_allclose(dense(images.reshape(4, -1)), expected, atol=1e-5)


def test_the_matrix_is_sparse_and_shares_its_weights():
    kernel = RNG.standard_normal((3, 3, 1, 1))
    matrix = convolution_matrix(kernel, 8, 8)
    assert matrix.shape == (64, 36)
    assert ((matrix != 0).sum(axis=0) == 9).all()
    assert set(matrix[matrix != 0]) == set(kernel.ravel())


def test_shift_images_moves_pixels():
    image = np.arange(9.0).reshape(1, 3, 3, 1)
    np.testing.assert_array_equal(shift_images(image, 1, 0)[0, ..., 0], [[0, 0, 0], [0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(shift_images(image, 0, -1)[0, ..., 0], [[1, 2, 0], [4, 5, 0], [7, 8, 0]])
    np.testing.assert_array_equal(
        shift_images(image, -1, 0, wrap=True)[0, ..., 0], [[3, 4, 5], [6, 7, 8], [0, 1, 2]]
    )
    np.testing.assert_array_equal(shift_images(image, 0, 0), image)
    np.testing.assert_array_equal(shift_images(image, 5, 0), 0 * image)


def test_convolution_is_equivariant_where_nothing_leaves(roomy):
    assert equivariance_gap(convolve(padding=1), roomy, 2, -1) < 1e-6


def test_borders_break_it_and_only_there():
    layer = convolve(padding=1)
    assert equivariance_gap(layer, DIGITS, 2, 0) > 0.01
    assert equivariance_gap(layer, DIGITS, 2, 0, border=3) < 1e-6


def test_strides_break_it_between_their_steps(roomy):
    layer = convolve(strides=2, padding=1)
    assert equivariance_gap(layer, roomy, 2, 4, stride=2) < 1e-6
    assert equivariance_gap(layer, roomy, 1, 0, stride=2) > 0.1


def test_a_dense_layer_is_not_equivariant(roomy):
    matrix = RNG.standard_normal((400, 400)) / 20

    def dense(images):
        return (images.reshape(-1, 400) @ matrix).reshape(-1, 20, 20, 1)

    assert equivariance_gap(dense, roomy, 1, 1) > 0.5


def test_pooling_is_invariant_as_far_as_its_window_reaches(roomy):
    everything = keras.layers.GlobalMaxPooling2D()
    assert invariance_gap(everything, roomy, 3, -2) == 0
    gaps = [invariance_gap(keras.layers.MaxPooling2D(window), roomy, 1, 0) for window in (1, 2, 4, 10)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.3
    # A single bright pixel that stays within its window is not seen to move.
    dot = np.zeros((1, 8, 8, 1), "float32")
    dot[0, 0, 0] = 1
    assert invariance_gap(keras.layers.MaxPooling2D(4), dot, 3, 3) == 0
    assert invariance_gap(keras.layers.MaxPooling2D(4), dot, 4, 0) > 0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: convolution_matrix(np.ones((5, 5, 1, 1)), 3, 3), "kernel_size: expected at most 3"),
        (lambda: convolution_matrix(np.ones((3, 3)), 3, 3), "kernel: expected an array of shape"),
        (lambda: equivariance_gap(lambda x: x, DIGITS, 1, 1, border=4), "border: expected less than half"),
        (
            lambda: equivariance_gap(lambda x: x, DIGITS, 1, 1, stride=0),
            "stride: expected an int of at least",
        ),
        (lambda: shift_images(DIGITS[0], 1, 1), "images: expected an array of shape"),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()
