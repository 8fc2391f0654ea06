"""`load` and `describe` on data that is always there: the contract, the order, the arguments."""

import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

from keras_dl.data import adding_problem, describe, load


def everything(dataset):
    """All batches, joined: a tuple of arrays, or one array."""
    batches = list(dataset.as_numpy_iterator())
    if isinstance(batches[0], tuple):
        return tuple(np.concatenate(column) for column in zip(*batches, strict=True))
    return np.concatenate(batches)


def passes(dataset, count):
    return [everything(dataset)[:, 0] for _ in range(count)]


NUMBERS = np.arange(50, dtype=np.float32)[:, np.newaxis]  # fifty different examples


def test_digits_keep_the_element_contract():
    dataset = load("digits", batch_size=32)
    image, label = dataset.element_spec
    assert (image.shape.as_list(), image.dtype) == ([None, 8, 8, 1], tf.float32)
    assert (label.shape.as_list(), label.dtype) == ([None], tf.int32)
    images, labels = everything(dataset)
    assert images.min() == 0
    assert images.max() == 1
    assert len(dataset) == -(-len(images) // 32)
    assert set(labels) == set(range(10))


def test_digits_splits_are_scikit_learns_scans_once_each():
    scans = load_digits()
    rows = [np.column_stack([y, x.reshape(len(x), -1) * 16]) for x, y in
            (everything(load("digits", split)) for split in ("train", "validation", "test"))]  # fmt: skip
    ours = np.concatenate(rows)
    theirs = np.column_stack([scans.target, scans.data])
    assert [len(split) for split in rows] == [1258, 180, 359]
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


@pytest.mark.parametrize(("split", "share"), [("train", 0.7), ("validation", 0.1), ("test", 0.2)])
def test_digits_splits_are_stratified(split, share):
    _, labels = everything(load("digits", split))
    classes = np.bincount(load_digits().target)
    assert np.all(np.abs(np.bincount(labels, minlength=10) - share * classes) <= 1.5)


def test_describe_digits_agrees_with_the_batches():
    description = describe("digits")
    assert description.image_shape == (8, 8, 1)
    assert description.num_classes == 10
    assert description.class_names == tuple("0123456789")
    assert description.num_examples == {"train": 1258, "validation": 180, "test": 359}
    assert describe("digits", image_size=28).image_shape == (28, 28, 1)
    assert describe("digits", image_size=(16, 20)).image_shape == (16, 20, 1)


def test_labels_false_gives_images_alone():
    dataset = load("digits", labels=False, shuffle=False, batch_size=16)
    assert dataset.element_spec.shape.as_list() == [None, 8, 8, 1]
    np.testing.assert_array_equal(everything(dataset), everything(load("digits", shuffle=False))[0])


@pytest.mark.parametrize("size", [28, (5, 7)])
def test_resizing_agrees_with_pillow(size):
    height, width = (size, size) if isinstance(size, int) else size
    small = everything(load("digits", "test[:20]"))[0]
    resized = everything(load("digits", "test[:20]", image_size=size))[0]
    assert resized.shape == (20, height, width, 1)
    for ours, image in zip(resized, small, strict=True):
        theirs = Image.fromarray(image[..., 0]).resize((width, height), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(ours[..., 0], np.asarray(theirs), atol=1e-5)


def test_each_pass_is_another_permutation_and_the_same_in_every_run():
    dataset = load(NUMBERS, labels=False, seed=3, batch_size=8)
    first = passes(dataset, 3)
    assert all(sorted(order) == list(range(50)) for order in first)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[1], first[2])
    np.testing.assert_array_equal(first, passes(load(NUMBERS, labels=False, seed=3, batch_size=8), 3))
    assert not np.array_equal(first[0], passes(load(NUMBERS, labels=False, seed=4), 1)[0])


def test_a_run_resumed_at_an_epoch_sees_the_order_of_the_uninterrupted_one():
    uninterrupted = passes(load(NUMBERS, labels=False, seed=3), 5)
    resumed = passes(load(NUMBERS, labels=False, seed=3, epoch=2), 3)
    np.testing.assert_array_equal(resumed, uninterrupted[2:])


def test_repeat_goes_through_the_same_epochs():
    repeated = load(NUMBERS, labels=False, seed=3, batch_size=10).repeat().take(15)
    np.testing.assert_array_equal(
        everything(repeated)[:, 0], np.concatenate(passes(load(NUMBERS, labels=False, seed=3), 3))
    )


def test_the_order_does_not_depend_on_tensorflows_seed():
    expected = passes(load(NUMBERS, labels=False, seed=3), 2)
    tf.random.set_seed(99)
    np.testing.assert_array_equal(passes(load(NUMBERS, labels=False, seed=3), 2), expected)


def test_without_a_seed_the_order_follows_keras_seed():
    orders = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        orders.append(passes(load(NUMBERS, labels=False), 1)[0])
    np.testing.assert_array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


def test_shuffling_is_uniform():
    # Fifths of the examples against fifths of the places over 60 passes: 25 cells of 120 expected, 16 degrees
    # of freedom; chi-squared stays below 39 with probability 0.999.
    orders = np.array(passes(load(NUMBERS, labels=False, seed=0, batch_size=50), 60)).astype(int)
    observed = np.zeros((5, 5))
    np.add.at(observed, (orders // 10, np.broadcast_to(np.arange(50) // 10, orders.shape)), 1)
    assert ((observed - 120) ** 2 / 120).sum() < 39


def test_only_training_splits_are_shuffled_by_default():
    x, y = load_digits(return_X_y=True)
    stored = everything(load((x, y), shuffle=False))[1]
    np.testing.assert_array_equal(stored, y)
    assert not np.array_equal(everything(load((x, y), "train[:100]", seed=0))[1], y[:100])
    test = everything(load("digits", "test"))[1]
    np.testing.assert_array_equal(test, everything(load("digits", "test"))[1])
    assert not np.array_equal(test, everything(load("digits", "test", shuffle=True, seed=0))[1])


def test_images_and_labels_stay_together():
    x = np.arange(200, dtype=np.uint8).reshape(-1, 1, 1, 1)
    images, labels = everything(load((x, np.arange(200)), seed=5, batch_size=7))
    np.testing.assert_allclose(images[:, 0, 0, 0] * 255, labels, atol=1e-4)


def test_drop_remainder_makes_the_batch_size_static():
    dataset = load(NUMBERS, labels=False, batch_size=8, drop_remainder=True)
    assert dataset.element_spec.shape.as_list() == [8, 1]
    assert len(dataset) == len(list(dataset)) == 6


def test_several_splits_do_not_overlap():
    train, validation, test = load(NUMBERS, ("train", "validation", "test"), labels=False)
    parts = [set(everything(part)[:, 0]) for part in (train, validation, test)]
    assert [len(part) for part in parts] == [40, 5, 5]
    assert set.union(*parts) == set(range(50))


def test_keras_fits_it():
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    train, validation = load("digits", ("train", "validation"), seed=0)
    history = model.fit(train, validation_data=validation, epochs=3, verbose=0, shuffle=False).history
    assert history["loss"][2] < history["loss"][0]


def test_no_thread_tunes_a_pipeline():
    """Tuning would delay the deletion of an iterator, and so the end of an epoch, by up to a minute."""
    for dataset in (load("digits"), load(NUMBERS, labels=False), adding_problem(length=3, num_examples=4)):
        for each in (dataset, dataset.map(lambda *batch: batch).prefetch(1)):
            assert each.options().autotune.enabled is False


def test_workers_share_a_batch_between_them():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        distributed = strategy.experimental_distribute_dataset(load(NUMBERS, labels=False, seed=3))
    seen = [np.concatenate([batch.numpy()[:, 0] for batch in distributed]) for _ in range(2)]
    np.testing.assert_array_equal(seen, passes(load(NUMBERS, labels=False, seed=3), 2))


def test_tensorflow_datasets_and_scikit_learn_are_imported_on_demand():
    code = """
import sys, unittest.mock
sys.modules["tensorflow"] = unittest.mock.MagicMock()  # it would import scikit-learn itself
import keras_dl.data
print({"tensorflow_datasets", "sklearn"} & set(sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"batch_size": 0}, "batch_size: expected an int of at least 1, got 0."),
        ({"batch_size": 2.5}, "batch_size: expected an int of at least 1, got 2.5."),
        ({"epoch": -1}, "epoch: expected an int of at least 0, got -1."),
        ({"seed": "one"}, "seed: expected an int of at least 0, got 'one'."),
        ({"image_size": 0}, "image_size: expected an int of at least 1, got 0."),
        ({"image_size": 8.0}, "image_size: expected an int of at least 1, got 8.0."),
        ({"split": None}, "split: expected the name of a split, or a list of names, got None."),
        ({"split": ()}, "split: expected the name of a split, or a list of names, got ()."),
        ({"image_size": (8,)}, "image_size: expected one side or (height, width), got (8,)."),
        ({"split": "valid"}, "split: digits has no split 'valid'; it has 'train' (1,258 examples),"),
        ({"split": "test[:0]"}, "split: expected at least one example, got none in 'test[:0]' of digits"),
        ({"split": "test[:10]", "batch_size": 16, "drop_remainder": True},
         "batch_size: expected at most the 10 examples of 'test[:10]' of digits, got 16"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(arguments, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        load("digits", **arguments)


@pytest.mark.parametrize("source", ["nowhere/photos.csv", "nowhere.txt"])
def test_a_missing_file_is_named(source):
    with pytest.raises(FileNotFoundError, match=f"source: there is no file or folder {source}"):
        load(source)
