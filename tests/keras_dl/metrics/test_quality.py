"""Metrics in the features of the included LeNet, on the embedded scans and on MNIST."""

import hashlib
import os
from importlib import resources
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_dl.data import load
from keras_dl.metrics import (
    class_coverage,
    frechet_distance,
    frechet_lenet_distance,
    kernel_distance,
    lenet_outputs,
    precision_recall,
    sample_quality,
)
from keras_dl.metrics.lenet import WEIGHTS_FILE, WEIGHTS_SHA256, build_lenet


def everything(*arguments, **options):
    batches = load(*arguments, shuffle=False, **options).as_numpy_iterator()
    return tuple(np.concatenate(column) for column in zip(*batches, strict=True))


@pytest.fixture(scope="module")
def scans():
    """scikit-learn's digits: another data set than the LeNet was trained on."""
    return everything("digits", image_size=28)


def test_the_weights_are_small_and_match_their_hash():
    content = resources.files("keras_dl.metrics").joinpath(WEIGHTS_FILE).read_bytes()
    assert len(content) < 2 * 2**20
    assert hashlib.sha256(content).hexdigest() == WEIGHTS_SHA256
    assert build_lenet().count_params() == 139_046


def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr("keras_dl.metrics.lenet.WEIGHTS_SHA256", "0" * 64)
    from keras_dl.metrics.lenet import _network

    with pytest.raises(RuntimeError, match="lenet_mnist.npz: expected SHA-256 0000"):
        _network.__wrapped__()


def test_the_lenet_classifies_digits_of_another_data_set(scans):
    images, labels = scans
    outputs = lenet_outputs(images)
    assert outputs.features.shape == (len(images), 84)
    assert (outputs.classes == labels).mean() > 0.6  # 8x8 pixels blown up; chance is 0.1


def test_outputs_do_not_depend_on_the_precision_policy(scans):
    images = scans[0][:5]
    expected = lenet_outputs(images).features
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert build_lenet().compute_dtype == "float16"  # the policy is in force, and the layers ignore it
        assert {layer.compute_dtype for layer in build_lenet().layers} == {"float32"}
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(lenet_outputs(images).features, expected)


def test_real_images_are_at_the_floor_and_noise_is_far_above(scans):
    images = np.random.default_rng(0).permutation(scans[0])
    real, train, test = images[:400], images[400:800], images[800:1200]
    value, floor = frechet_lenet_distance(real, train, test)
    assert value == pytest.approx(floor, rel=0.5)
    noise = np.random.default_rng(1).random((400, 28, 28, 1))
    assert frechet_lenet_distance(noise, train, test).value > 20 * floor


def test_the_floor_uses_as_many_training_images_as_were_generated(scans):
    images = scans[0]
    distance = frechet_lenet_distance(images[:50], images[100:500], images[500:700])
    features = lenet_outputs(images).features
    assert distance.floor == pytest.approx(frechet_distance(features[100:150], features[500:700]), rel=1e-4)
    assert distance.value == pytest.approx(frechet_distance(features[:50], features[500:700]), rel=1e-4)


def test_a_distance_is_never_shown_without_its_floor(scans):
    images = scans[0]
    quality = sample_quality(images[:100], images[100:300], images[300:500])
    assert str(quality.fld) == (
        f"{quality.fld.value:.4g} (floor, real train against real test: {quality.fld.floor:.4g})"
    )
    assert f"FLD {quality.fld}, kernel distance {quality.kernel}" in str(quality)
    assert {"fld", "fld_floor", "kernel_distance", "kernel_distance_floor"} <= set(quality.figures())


def test_sample_quality_contains_its_parts(scans):
    images = scans[0]
    quality = sample_quality(images[:100], images[100:300], images[300:400])
    features, classes = lenet_outputs(images)
    assert quality.kernel.value == pytest.approx(kernel_distance(features[:100], features[300:400]), rel=1e-4)
    assert (quality.precision, quality.recall) == precision_recall(features[300:400], features[:100])
    np.testing.assert_array_equal(quality.classes.shares, class_coverage(classes[:100]).shares)
    assert quality.num_images == 100


def test_a_class_counts_from_a_tenth_of_its_even_share():
    classes = np.repeat(np.arange(10), [500, 92, 100, 100, 100, 50, 30, 18, 10, 0])
    coverage = class_coverage(classes)
    assert coverage.covered == 9  # 10 of 1,000 is just enough
    assert coverage.shares.sum() == pytest.approx(1)
    assert class_coverage(classes[:-1]).covered == 8
    assert class_coverage([0, 0, 1], 3, threshold=1.0).covered == 2


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (np.zeros((2, 8, 8, 1)), r"images: expected shape \(N, 28, 28, 1\), N >= 1, got \(2, 8, 8, 1\)"),
        (np.zeros((0, 28, 28, 1)), r"got \(0, 28, 28, 1\)"),
        (np.full((2, 28, 28, 1), -1.0), r"images: expected values in \[0, 1\], got -1 to -1"),
        (np.full((2, 28, 28, 1), np.nan), "got nan to nan"),
    ],
)
def test_wrong_images_are_named(images, text):
    with pytest.raises(ValueError, match=text):
        lenet_outputs(images)


def test_too_few_training_images(scans):
    with pytest.raises(
        ValueError, match=r"train: expected at least as many images as generated \(9\), got 5"
    ):
        frechet_lenet_distance(scans[0][:9], scans[0][:5], scans[0][:5])


@pytest.mark.parametrize("classes", [[], [0, 10], [-1]])
def test_wrong_classes_are_named(classes):
    with pytest.raises(ValueError, match="classes: expected at least one class from 0 to 9"):
        class_coverage(classes)


@pytest.mark.tfds
def test_the_stated_accuracy_on_mnist():
    if not Path(os.environ.get("TFDS_DATA_DIR", ""), "mnist").is_dir():
        pytest.skip("TFDS_DATA_DIR names no folder with prepared mnist")
    images, labels = everything("mnist", "test")
    assert (lenet_outputs(images).classes == labels).mean() == pytest.approx(0.9953, abs=2e-4)
