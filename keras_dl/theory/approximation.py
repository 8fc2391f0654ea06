"""Universal approximation by construction: sums of bumps, each the difference of two steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_dl.layers import Heaviside
from keras_dl.theory.numeric_arguments import Array, check_interval, check_positive
from keras_dl_export.arguments import check_int

Function = Callable[..., Any]


def bump_network(
    function: Function, low: float, high: float, bumps: int, *, steepness: float | None = None
) -> keras.Model:
    """Return a network with one hidden layer that approximates a function on [low, high].

        f^(x) = sum_i f(c_i) (H(x - e_i) - H(x - e_{i+1}))

    The edges e_i divide the interval into equal cells with the centers c_i. Each cell has a pair of
    perceptrons, a step up at its left edge and a step down at its right edge, which form a bump of the height
    of the function at the center. No weight is trained. If |f(x) - f(y)| <= L |x - y|, the error is at most
    L (high - low) / (2 bumps).

    Args:
        function: f, which maps an array (N,) to an array of the same shape.
        low: lower end of the interval.
        high: upper end of the interval.
        bumps: the number of pairs of perceptrons; the hidden layer has twice as many units.
        steepness: k of the perceptrons sigmoid(k (x - e_i)), which approach H as k grows; None uses H.

    Returns:
        A Keras model (B, 1) -> (B, 1).

    Raises:
        ValueError: the interval is empty, a number is not positive, or the function is not finite.

    Reference: notes 1.2; Cybenko, Approximation by superpositions of a sigmoidal function (1989).
    """
    edges, centers = _cells(low, high, bumps)
    heights = _values("function", function(centers), centers.shape)
    starts, ends = edges[:-1], edges[1:]
    places = np.column_stack([starts, ends]).ravel()
    inputs = keras.Input((1,), name="x")
    steps = _steps(np.ones((1, 2 * bumps)), -places, steepness, "steps")(inputs)
    signed = np.column_stack([heights, -heights]).reshape(-1, 1)
    return keras.Model(inputs, _linear(signed, "heights")(steps))


def tower_network(
    function: Function, low: float, high: float, bumps: int, *, steepness: float | None = None
) -> keras.Model:
    """Return a network that approximates a function on the square [low, high]^2.

        f^(x, y) = sum_ij f(c_i, c_j) H(B_i(x) + B_j(y) - 3/2),  B_i(x) = H(x - e_i) - H(x - e_{i+1})

    The sum of a bump along x and one along y is 2 where they intersect and at most 1 elsewhere. A second
    layer of perceptrons with the threshold 3/2 selects the intersections, the towers on the cells of the
    square.

    Args:
        function: f, which maps two arrays (N,) to an array of the same shape.
        low: lower end of the interval on both axes.
        high: upper end of the interval on both axes.
        bumps: the number of pairs of perceptrons per axis; there are bumps^2 towers.
        steepness: k of both layers, see `bump_network`. With sigmoids the approximation is too low at the
            corners of the cells, where the bumps are still low; this gap narrows as k grows.

    Returns:
        A Keras model (B, 2) -> (B, 1).

    Raises:
        ValueError: as in `bump_network`.

    Reference: notes 1.2.
    """
    edges, centers = _cells(low, high, bumps)
    along_x, along_y = (grid.ravel() for grid in np.meshgrid(centers, centers, indexing="ij"))
    heights = _values("function", function(along_x, along_y), along_x.shape)
    places = np.column_stack([edges[:-1], edges[1:]]).ravel()
    each_axis = np.asarray(np.kron(np.eye(2), np.ones((1, 2 * bumps))), np.float64)  # a step has one input
    inputs = keras.Input((2,), name="x")
    steps = _steps(each_axis, -np.tile(places, 2), steepness, "steps")(inputs)
    bump = np.kron(np.eye(bumps), [[1.0], [-1.0]])  # (2 bumps, bumps): up and down make B_i
    one = np.ones((1, bumps))
    crossing = np.concatenate([np.kron(bump, one), np.kron(one, bump)])
    # The input of the second layer jumps by at least 1/2, independent of the size of a cell.
    sharpness = None if steepness is None else steepness * (centers[1] - centers[0] if bumps > 1 else 1.0)
    towers = _steps(crossing, np.full(bumps**2, -1.5), sharpness, "towers")(steps)
    return keras.Model(inputs, _linear(heights[:, None], "heights")(towers))


def sup_error(
    model: Any, function: Function, low: float, high: float, *, dimensions: int = 1, points: int = 2001
) -> float:
    """Return max |f^(x) - f(x)| over a uniform grid, an estimate of the sup norm.

    Args:
        model: f^, which maps (N, dimensions) to (N, 1).
        function: f, which maps `dimensions` arrays (N,) to an array (N,).
        low: lower end of the grid on each axis.
        high: upper end of the grid on each axis.
        dimensions: 1 or 2.
        points: the number of points along each axis.
    """
    axis = np.linspace(*check_interval(low, high), check_int("points", points, 2))
    grid = [each.ravel() for each in np.meshgrid(*[axis] * check_int("dimensions", dimensions))]
    approximated = np.asarray(model(np.column_stack(grid).astype(np.float32)))[:, 0]
    return float(np.abs(approximated - function(*grid)).max())


def _cells(low: float, high: float, bumps: int) -> tuple[Array, Array]:
    """Return edges (bumps + 1,) and centers (bumps,) of equal cells.

    The outermost edges are moved outward by one cell, so that the ends of the interval are inside a bump and
    sigmoids have risen there.
    """
    low, high = check_interval(low, high)
    edges = np.linspace(low, high, check_int("bumps", bumps) + 1, dtype=np.float64)
    centers = (edges[:-1] + edges[1:]) / 2
    width = edges[1] - edges[0]
    edges[0] -= width
    edges[-1] += width
    return edges, centers


def _values(name: str, values: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(values, np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(
            f"{name}: expected finite values of shape {shape}, got shape {array.shape} with "
            f"{np.count_nonzero(~np.isfinite(array))} nonfinite values. Pass a continuous function of arrays."
        )
    return array


def _steps(kernel: Array, bias: Array, steepness: float | None, name: str) -> Any:
    """Return H(W x + b), or sigmoid(k (W x + b)), as a Keras model."""
    if steepness is None:
        return keras.Sequential([_affine(kernel, bias, "linear"), Heaviside()], name=name)
    k = check_positive("steepness", steepness)
    return keras.Sequential([_affine(k * kernel, k * bias, "sigmoid")], name=name)


def _affine(kernel: Array, bias: Array, activation: str) -> Any:
    layer = keras.layers.Dense(kernel.shape[1], activation=activation)
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel, bias])
    return layer


def _linear(kernel: Array, name: str) -> Any:
    layer = keras.layers.Dense(kernel.shape[1], use_bias=False, name=name)
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel])
    return layer
