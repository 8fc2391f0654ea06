"""The adding problem against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from keras_dl.data.adding import adding_problem


def gathered(*args, **kwargs):
    batches = list(adding_problem(*args, **kwargs).as_numpy_iterator())
    return np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches])


def test_the_answer_is_the_sum_of_the_two_marked_numbers():
    x, y = gathered(length=9, num_examples=300)
    numbers, markers = x[..., 0], x[..., 1]
    assert x.shape == (300, 9, 2)
    assert x.dtype == y.dtype == np.float32
    assert set(np.unique(markers)) == {0, 1}
    np.testing.assert_array_equal(markers.sum(axis=1), 2)
    np.testing.assert_allclose(y[:, 0], np.where(markers == 1, numbers, 0).sum(axis=1), rtol=1e-6)


def test_every_pair_of_steps_is_as_likely_and_chance_is_one_sixth():
    x, y = gathered(length=4, num_examples=6000)
    markers = x[..., 1].astype(int)
    _, counts = np.unique(markers @ [1, 2, 4, 8], return_counts=True)
    assert len(counts) == 6
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(1000))
    assert abs(np.mean((y - 1) ** 2) - 1 / 6) < 5 * np.sqrt(
        7 / 180 / 6000
    )  # variance of (sum - 1)^2: 1/15 - 1/36
    assert abs(x[..., 0].mean() - 0.5) < 5 / np.sqrt(12 * 24000)


def test_an_example_depends_on_seed_split_and_index_alone():
    x, y = gathered(length=20, num_examples=10, batch_size=4)
    more, _ = gathered(length=20, num_examples=25, batch_size=7)
    np.testing.assert_array_equal(more[:10], x)
    again = adding_problem(length=20, num_examples=10, batch_size=4)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([b for b, _ in again.as_numpy_iterator()]), x)
    for other in ({"seed": 1}, {"split": "validation"}, {"split": "test"}):
        _, different = gathered(**{"length": 20, "num_examples": 10, **other})
        assert not np.any(different == y)


def test_its_shapes_and_number_of_batches_are_known():
    data = adding_problem(length=20, num_examples=10, batch_size=4)
    assert data.cardinality() == 3
    assert [spec.shape.as_list() for spec in data.element_spec] == [[None, 20, 2], [None, 1]]


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ({"split": "dev"}, "split: expected 'train', 'validation' or 'test', got 'dev'"),
        ({"batch_size": 0}, "batch_size: expected an int of at least 1, got 0"),
        ({"length": 1}, "length: expected an int of at least 2, got 1"),
        ({"num_examples": 2.5}, "num_examples: expected an int of at least 1, got 2.5"),
        ({"seed": -1}, "seed: expected an int of at least 0, got -1"),
    ],
)
def test_errors(argument, text):
    with pytest.raises(ValueError, match=text):
        adding_problem(**argument)
