"""Convolution against SciPy and loops, its sizes against the notes' formula."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d

from keras_dl.layers import Conv2D
from keras_dl.theory import conv_output_size, pool_output_size

small = st.integers(1, 9)


@settings(max_examples=60, deadline=None)
@given(
    sides=st.tuples(small, small),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_output_size_is_the_notes_formula(sides: Any, kernel: Any, strides: Any, padding: Any) -> None:
    assume(all(k <= size + 2 * p for k, size, p in zip(kernel, sides, padding, strict=True)))
    wanted = tuple(
        conv_output_size(size, kernel_size=k, stride=s, padding=p)
        for size, k, s, p in zip(sides, kernel, strides, padding, strict=True)
    )
    layer = Conv2D(2, kernel, strides, padding)
    assert layer(np.zeros((1, *sides, 3), "float32")).shape == (1, *wanted, 2)
    assert layer.compute_output_shape((None, *sides, 3)) == (None, *wanted, 2)
    notes_order = Conv2D(2, kernel, strides, padding, data_format="channels_first")
    assert notes_order.compute_output_shape((None, 3, *sides)) == (None, 2, *wanted)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 20), pool=st.integers(1, 20))
def test_pool_output_size_is_that_of_both_poolings(size: int, pool: int) -> None:
    assume(pool <= size)
    for pooling in (keras.layers.MaxPooling1D, keras.layers.AveragePooling1D):
        assert pooling(pool)(np.zeros((1, size, 1), "float32")).shape[1] == pool_output_size(size, pool)


@pytest.mark.parametrize(("strides", "padding"), [(1, 0), (1, 1), (2, 1), ((1, 3), (2, 0))])
def test_values_match_scipys_cross_correlation(strides: Any, padding: Any) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((2, 7, 6, 3)).astype("float32")
    layer = Conv2D(4, (3, 2), strides, padding, bias_initializer="ones")
    y = layer(x).numpy()
    kernel = layer.kernel.numpy()
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    down, right = (strides, strides) if isinstance(strides, int) else strides
    padded = np.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
    for image, maps in zip(padded, y, strict=True):
        for f in range(4):
            full = sum(correlate2d(image[:, :, c], kernel[:, :, c, f], mode="valid") for c in range(3))
            np.testing.assert_allclose(maps[:, :, f], full[::down, ::right] + 1, rtol=1e-4, atol=1e-5)


def test_named_paddings_match_keras() -> None:
    x = np.random.default_rng(0).random((1, 5, 5, 2), dtype=np.float32)
    for padding in ("valid", "same"):
        ours, theirs = Conv2D(3, 3, 2, padding), keras.layers.Conv2D(3, 3, 2, padding)
        ours.build(x.shape)
        theirs.build(x.shape)
        theirs.set_weights(ours.get_weights())
        np.testing.assert_array_equal(ours(x), theirs(x))


@pytest.mark.parametrize("padding", [2, (1, 0), "same", "valid"])
def test_config_round_trip_keeps_the_padding(padding: Any) -> None:
    layer = Conv2D(2, 3, 2, padding)
    twin = Conv2D.from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()
    assert twin.compute_output_shape((1, 8, 9, 1)) == layer.compute_output_shape((1, 8, 9, 1))


@pytest.mark.parametrize("padding", [-1, 1.5, (1, -2), True])
def test_an_invalid_padding_is_refused(padding: Any) -> None:
    with pytest.raises(ValueError, match="padding: expected an int of at least 0, got"):
        Conv2D(1, 3, padding=padding)


def test_unknown_padding_is_refused() -> None:
    with pytest.raises(ValueError, match="padding: expected 'valid' or 'same', got 'full'"):
        Conv2D(1, 3, padding="full")
