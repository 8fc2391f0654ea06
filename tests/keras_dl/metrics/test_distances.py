"""Distances against closed forms, SciPy's matrix root and loops written out."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from keras_dl.metrics import frechet_distance, kernel_distance, precision_recall


def features(count, dimensions, seed=0, scale=1.0):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, dimensions)) @ random.normal(size=(dimensions, dimensions)) * scale


def whitened(count, dimensions, seed):
    """Samples whose mean is 0 and whose covariance is I, exactly."""
    x = features(count, dimensions, seed)
    x = x - x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T


def test_frechet_distance_of_gaussians_in_closed_form():
    # For commuting covariances it is |mu - nu|^2 + sum (s_i - t_i)^2 of the standard deviations.
    s, t, shift = np.array([1.0, 2.0, 0.5]), np.array([1.5, 0.0, 3.0]), np.array([1.0, -2.0, 0.0])
    x, y = whitened(400, 3, 0) * s, whitened(300, 3, 1) * t + shift
    assert frechet_distance(x, y) == pytest.approx((shift**2).sum() + ((s - t) ** 2).sum(), rel=1e-6)


def test_frechet_distance_agrees_with_scipys_matrix_root():
    x, y = features(500, 8, 0), features(400, 8, 1, 0.7) + 0.3
    covariances = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real
    )
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_is_symmetric_and_zero_to_itself():
    x, y = features(100, 5, 0), features(90, 5, 1)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_with_fewer_samples_than_dimensions():
    x, y = features(4, 20, 0), features(5, 20, 1)
    expected = (
        ((x.mean(0) - y.mean(0)) ** 2).sum()
        + np.cov(x, rowvar=False).trace()
        + np.cov(y, rowvar=False).trace()
    )
    # The overlap from the singular values of the centered samples: tr (S_x S_y)^{1/2} = |X Y'|_nuclear.
    x, y = (x - x.mean(0)) / np.sqrt(3), (y - y.mean(0)) / np.sqrt(4)
    expected -= 2 * np.linalg.norm(x @ y.T, "nuc")
    assert frechet_distance(features(4, 20, 0), features(5, 20, 1)) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_agrees_with_loops():
    x, y = features(7, 4, 0, 0.5), features(5, 4, 1, 0.5)

    def kernel(a, b):
        return (a @ b / 4 + 1) ** 3

    within = [
        np.mean([kernel(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]) for z in (x, y)
    ]
    between = np.mean([kernel(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(sum(within) - 2 * between, rel=1e-10)


def test_kernel_distance_is_unbiased():
    # Small samples of one distribution: the mean over many draws is 0, where the biased one is far above.
    draws = np.random.default_rng(0).normal(size=(2000, 2, 10, 3))
    values = np.array([kernel_distance(*draw) for draw in draws])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values))


def test_kernel_distance_does_not_depend_on_the_blocks(monkeypatch):
    x, y = features(50, 4, 0), features(30, 4, 1)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("keras_dl.metrics.distances._ROWS", 7)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("neighbors", [1, 3])
def test_precision_and_recall_agree_with_loops(neighbors, monkeypatch):
    monkeypatch.setattr("keras_dl.metrics.distances._ROWS", 9)
    real, generated = features(40, 2, 0), features(30, 2, 1, 0.8) + 0.5

    def share_inside(samples, manifold):
        radii = [sorted(cdist([m], manifold)[0])[neighbors] for m in manifold]
        return np.mean(
            [any(np.linalg.norm(s - m) <= r for m, r in zip(manifold, radii, strict=True)) for s in samples]
        )

    ours = precision_recall(real, generated, neighbors=neighbors)
    assert ours.precision == pytest.approx(share_inside(generated, real))
    assert ours.recall == pytest.approx(share_inside(real, generated))
    assert 0 < ours.precision < 1  # or nothing was compared
    assert 0 < ours.recall < 1


def test_a_collapsed_generator_has_precision_without_recall():
    real = features(300, 4, 0)
    collapsed = real[:1] + 1e-3 * features(300, 4, 1)
    precision, recall = precision_recall(real, collapsed)
    assert precision == 1
    assert recall < 0.02


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance, precision_recall])
def test_wrong_features_are_named(distance):
    good = features(10, 3)
    with pytest.raises(
        ValueError, match=r"expected features \(N, D\) of at least \d samples, got shape \(1, 3\)"
    ):
        distance(good[:1], good)
    with pytest.raises(ValueError, match=r"got shape \(10, 3, 1\)"):
        distance(good, good[..., None])
    with pytest.raises(ValueError, match="expected features of the same size D, got 3 and 2"):
        distance(good, good[:, :2])
    with pytest.raises(ValueError, match="expected finite features, got NaN or infinity"):
        distance(good, good * np.nan)
