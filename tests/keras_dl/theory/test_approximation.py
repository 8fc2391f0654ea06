"""Networks built of steps against the functions they stand for."""

import keras
import numpy as np
import pytest

from keras_dl.theory import bump_network, sup_error, tower_network


def wave(x):
    return np.sin(3 * x) + 0.5 * x**2


def hill(x, y):
    return np.sin(2 * x) * np.cos(3 * y)


def test_a_network_is_the_staircase_of_its_centers():
    model = bump_network(wave, -1, 2, 12)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 2, 500)
    cell = np.floor((x + 1) / 0.25)
    expected = wave(-1 + 0.25 * (cell + 0.5))
    np.testing.assert_allclose(np.asarray(model(x[:, None].astype("float32")))[:, 0], expected, atol=1e-5)
    assert [layer.name for layer in model.layers] == ["x", "steps", "heights"]
    assert model.get_layer("heights").kernel.shape == (24, 1), "two perceptrons a bump, one hidden layer"


@pytest.mark.parametrize("bumps", [1, 4, 16, 64, 256])
def test_the_error_stays_within_the_lipschitz_bound(bumps):
    error = sup_error(bump_network(wave, -1, 2, bumps), wave, -1, 2)
    assert error <= 5 * 3 / (2 * bumps) + 1e-5  # |wave'| <= 3 + 2
    assert error > 0.2 / bumps, "a staircase is no better than that"


def test_steep_sigmoids_are_steps():
    errors = [sup_error(bump_network(wave, -1, 2, 40, steepness=k), wave, -1, 2) for k in (5, 20, 80)]
    assert errors == sorted(errors, reverse=True)
    steps, steep = bump_network(wave, -1, 2, 10), bump_network(wave, -1, 2, 10, steepness=1e4)
    centers = (np.linspace(-1, 2, 11)[:-1] + 0.15).astype("float32")[:, None]
    np.testing.assert_allclose(steps(centers), steep(centers), atol=1e-4)


def test_towers_are_the_chequered_staircase():
    model = tower_network(hill, 0, 1, 5)
    x = np.random.default_rng(1).uniform(0, 1, (400, 2))
    centers = (np.floor(x * 5) + 0.5) / 5
    np.testing.assert_allclose(np.asarray(model(x.astype("float32")))[:, 0], hill(*centers.T), atol=1e-5)


def test_more_towers_are_nearer():
    errors = [
        sup_error(tower_network(hill, 0, 1, bumps), hill, 0, 1, dimensions=2, points=101)
        for bumps in (2, 8, 24)
    ]
    for bumps, error in zip((2, 8, 24), errors, strict=True):
        assert error <= (2 + 3) / (2 * bumps) + 1e-5  # the slopes along x and along y
    assert errors[2] < errors[0] / 5


def test_steep_towers_are_towers():
    x = np.stack(np.meshgrid(np.arange(8), np.arange(8)), -1).reshape(-1, 2)
    x = ((x + np.random.default_rng(2).uniform(0.1, 0.9, x.shape)) / 8).astype("float32")  # within the cells
    steep = tower_network(hill, 0, 1, 8, steepness=2000)(x)
    np.testing.assert_allclose(steep, tower_network(hill, 0, 1, 8)(x), atol=1e-3)


def test_a_constructed_network_is_a_keras_model_like_any_other(tmp_path):
    model = bump_network(wave, -1, 2, 8)
    model.save(tmp_path / "bumps.keras")
    x = np.linspace(-1, 2, 50, dtype="float32")[:, None]
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "bumps.keras")(x), model(x))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: bump_network(wave, 1, 1, 3), "high: expected a number above low=1, got 1"),
        (lambda: bump_network(wave, 0, 1, 0), "bumps: expected an int of at least 1, got 0"),
        (lambda: bump_network(wave, 0, 1, 3, steepness=0), "steepness: expected a positive number, got 0"),
        (lambda: bump_network(lambda x: x / 0, 0, 1, 3), "function: expected finite values"),
        (lambda: tower_network(lambda x, y: 1.0, 0, 1, 3), r"function: expected finite values of shape \(9,"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_is_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()
