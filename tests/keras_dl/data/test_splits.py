"""Split notation against TFDS's own parser, and the parts that are carved from train."""

import re

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_dl.data import load
from keras_dl.data.splits import select, stratified_order

SIZES = {"train": 997, "test": 101}


def tfds_selection(split, sizes):
    infos = {
        name: tfds.core.SplitInfo(name=name, shard_lengths=[size], num_bytes=0)
        for name, size in sizes.items()
    }
    return [
        (part.splitname, list(range(part.from_ or 0, sizes[part.splitname] if part.to is None else part.to)))
        for part in tfds.core.ReadInstruction.from_spec(split).to_absolute(infos)
    ]


percent = st.integers(-100, 100).map(lambda n: f"{n}%")
whole = st.integers(-101, 101).map(str)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(
    st.lists(
        st.tuples(st.sampled_from(["train", "test"]), st.sampled_from([percent, whole]), st.data()),
        min_size=1,
        max_size=3,
    )
)
def test_slices_mean_what_tfds_means(terms):
    split = "+".join(f"{part}[{data.draw(bound)}:{data.draw(bound)}]" for part, bound, data in terms)
    theirs = tfds_selection(split, SIZES)
    if not any(indices for _, indices in theirs):
        with pytest.raises(ValueError, match="at least one example"):
            select([split], SIZES, name="it")
        return
    (ours,) = select([split], SIZES, name="it")
    assert [(part, list(indices)) for part, indices in ours] == theirs


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(0, 10))
def test_every_stretch_of_a_stratified_order_holds_the_classes_in_proportion(labels, seed):
    labels = np.array(labels, np.int32)
    order = stratified_order(labels, seed)
    assert sorted(order) == list(range(len(labels)))
    for share in (0.1, 0.5, 0.8):
        stretch = labels[order[: round(share * len(labels))]]
        for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
            assert abs((stretch == label).sum() - share * count) <= 2.5


def carved(splits, sizes, labels=None):
    selections = select(splits, sizes, name="it", strata=lambda part: labels)
    return [set(indices) for ((_, indices),) in selections]


@pytest.mark.parametrize("labels", [None, np.repeat(np.arange(5, dtype=np.int32), 20)])
def test_a_carved_part_is_the_same_whatever_else_is_asked_for(labels):
    sizes = {"train": 100}
    train, validation, test = carved(("train", "validation", "test"), sizes, labels)
    assert [len(part) for part in (train, validation, test)] == [80, 10, 10]
    assert train | validation | test == set(range(100))
    assert carved(("train", "test"), sizes, labels) == [train | validation, test]
    assert carved(("validation", "train"), sizes, labels) == [validation, train | test]


def test_carving_is_stratified_where_there_are_classes():
    labels = np.repeat(np.arange(5, dtype=np.int32), 20)  # sorted by class, as folders are
    _, validation, test = carved(("train", "validation", "test"), {"train": 100}, labels)
    for part in (validation, test):
        assert np.bincount(labels[list(part)]).tolist() == [2] * 5


def test_validation_comes_from_train_and_never_from_the_test_that_there_is():
    train, validation, test = carved(("train", "validation", "test"), {"train": 60_000, "test": 10_000})
    assert validation == set(range(54_000, 60_000))
    assert train == set(range(54_000))
    assert test == set(range(10_000))


@pytest.mark.parametrize(
    ("splits", "text"),
    [
        (["validation"], "split: it has no 'validation' split; it has 'train' (997 examples), "
                         "'test' (101 examples). Request both together, split=('train', 'validation')"),
        (["train[:50%]", "validation"], "got 'train[:50%]', which may contain the same examples"),
        (["dev"], "split: it has no split 'dev'; it has 'train' (997 examples), 'test' (101 examples)."),
        (["train[:10"], "got 'train[:10'"),
        (["train[5]"], "got 'train[5]'"),
        ([""], "got ''"),
        (["train[:998]"], "split: expected bounds within the 997 examples of 'train' of it"),
        (["train[:101%]"], "expected bounds within"),
        (["train[500:400]"], "split: expected at least one example, got none in 'train[500:400]' of it"),
    ],
)  # fmt: skip
def test_a_wrong_split_is_named(splits, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        select(splits, SIZES, name="it")


def test_too_few_examples_to_carve_from():
    with pytest.raises(ValueError, match="at least one example in 'test'.*too few examples to carve"):
        load(np.ones((3, 2)), ("train", "test"), labels=False)
