"""The formulas against counting; their agreement with the layers is in the layers' tests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_dl.theory import conv_output_size, pool_output_size


@given(
    size=st.integers(1, 40), kernel=st.integers(1, 12), stride=st.integers(1, 6), padding=st.integers(0, 5)
)
def test_conv_output_size_counts_the_places_where_the_kernel_fits(
    size: int, kernel: int, stride: int, padding: int
) -> None:
    width = size + 2 * padding
    places = [start for start in range(0, width, stride) if start + kernel <= width]
    if places:
        assert conv_output_size(size, kernel_size=kernel, stride=stride, padding=padding) == len(places)
    else:
        with pytest.raises(ValueError, match=f"kernel_size: expected at most {width}.*got {kernel}"):
            conv_output_size(size, kernel_size=kernel, stride=stride, padding=padding)


@given(windows=st.integers(1, 30), pool=st.integers(1, 30), rest=st.integers(0, 29))
def test_pool_output_size_counts_whole_windows(windows: int, pool: int, rest: int) -> None:
    assert pool_output_size(windows * pool + rest % pool, pool) == windows


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"size": 0, "kernel_size": 1}, "size"),
        ({"size": 5, "kernel_size": 0}, "kernel_size"),
        ({"size": 5, "kernel_size": 1, "stride": 0}, "stride"),
        ({"size": 5, "kernel_size": 1, "padding": -1}, "padding"),
        ({"size": 5.0, "kernel_size": 1}, "size"),
        ({"size": True, "kernel_size": 1}, "size"),
    ],
)
def test_sizes_out_of_range_are_named(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected an int of at least"):
        conv_output_size(**arguments)


def test_a_window_larger_than_the_input_is_refused() -> None:
    with pytest.raises(ValueError, match="pool_size: expected at most the size 3, got 4"):
        pool_output_size(3, 4)
