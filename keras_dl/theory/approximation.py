"""Universal approximation by construction: two steps make a bump, bumps make any continuous function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_dl.layers import Heaviside
from keras_dl.theory.arguments import Array, check_interval, check_positive
from keras_dl_export.arguments import check_int

Function = Callable[..., Any]


def bump_network(
    function: Function, low: float, high: float, bumps: int, *, steepness: float | None = None
) -> keras.Model:
    """A network of one hidden layer that approximates a function on [low, high].

        f^(x) = sum_i f(c_i) (H(x - e_i) - H(x - e_{i+1}))

    The edges e_i cut the interval into equal cells with the centres c_i. Each cell is a pair of perceptrons,
    one steps up at its left edge, one down at its right: a bump as high as the function at the centre. No
    weight is trained. For a function with |f(x) - f(y)| <= L |x - y| the error is at most L (high - low) /
    (2 bumps).

    Args:
        function: f, on an array (N,), of that shape.
        low: a.
        high: b.
        bumps: pairs of perceptrons; the hidden layer has twice as many units.
        steepness: k; the perceptrons are sigmoid(k (x - e_i)), which is H as k grows; None is H itself.

    Returns:
        A Keras model (B, 1) -> (B, 1).

    Raises:
        ValueError: the interval is empty, a number is not positive, or the function is not finite there.

    Reference: notes 1.2; Cybenko, Approximation by superpositions of a sigmoidal function (1989).
    """
    edges, centres = _cells(low, high, bumps)
    heights = _values("function", function(centres), centres.shape)
    starts, ends = edges[:-1], edges[1:]
    places = np.column_stack([starts, ends]).ravel()
    inputs = keras.Input((1,), name="x")
    steps = _steps(np.ones((1, 2 * bumps)), -places, steepness, "steps")(inputs)
    signed = np.column_stack([heights, -heights]).reshape(-1, 1)
    return keras.Model(inputs, _linear(signed, "heights")(steps))


def tower_network(
    function: Function, low: float, high: float, bumps: int, *, steepness: float | None = None
) -> keras.Model:
    """A network that approximates a function on the square [low, high]^2.

        f^(x, y) = sum_ij f(c_i, c_j) H(B_i(x) + B_j(y) - 3/2),  B_i(x) = H(x - e_i) - H(x - e_{i+1})

    A bump along x plus one along y is 2 where they cross and at most 1 elsewhere: a second layer of
    perceptrons with the threshold 3/2 keeps the crossing alone, a tower on one of the square's cells.

    Args:
        function: f, on two arrays (N,), of that shape.
        low: a, on both axes.
        high: b, on both axes.
        bumps: pairs of perceptrons for each axis; there are bumps^2 towers.
        steepness: k of both layers, see `bump_network`. With sigmoids a gap stays at the cells' corners,
            where no bump has risen yet; it narrows as k grows.

    Returns:
        A Keras model (B, 2) -> (B, 1).

    Raises:
        ValueError: as `bump_network`.

    Reference: notes 1.2.
    """
    edges, centres = _cells(low, high, bumps)
    along_x, along_y = (grid.ravel() for grid in np.meshgrid(centres, centres, indexing="ij"))
    heights = _values("function", function(along_x, along_y), along_x.shape)
    places = np.column_stack([edges[:-1], edges[1:]]).ravel()
    each_axis = np.asarray(np.kron(np.eye(2), np.ones((1, 2 * bumps))), np.float64)  # a step sees one input
    inputs = keras.Input((2,), name="x")
    steps = _steps(each_axis, -np.tile(places, 2), steepness, "steps")(inputs)
    bump = np.kron(np.eye(bumps), [[1.0], [-1.0]])  # (2 bumps, bumps): up and down make B_i
    one = np.ones((1, bumps))
    crossing = np.concatenate([np.kron(bump, one), np.kron(one, bump)])
    # The second layer's input jumps by 1/2 at least, whatever the size of a cell.
    sharpness = None if steepness is None else steepness * (centres[1] - centres[0] if bumps > 1 else 1.0)
    towers = _steps(crossing, np.full(bumps**2, -1.5), sharpness, "towers")(steps)
    return keras.Model(inputs, _linear(heights[:, None], "heights")(towers))


def sup_error(
    model: Any, function: Function, low: float, high: float, *, dimensions: int = 1, points: int = 2001
) -> float:
    """Max |f^(x) - f(x)| over an even grid, the sup norm as far as a grid shows it.

    Args:
        model: what maps (N, dimensions) to (N, 1).
        function: f, on `dimensions` arrays (N,).
        low: a.
        high: b.
        dimensions: 1 or 2.
        points: points of the grid along each axis.
    """
    axis = np.linspace(*check_interval(low, high), check_int("points", points, 2))
    grid = [each.ravel() for each in np.meshgrid(*[axis] * check_int("dimensions", dimensions))]
    approximated = np.asarray(model(np.column_stack(grid).astype(np.float32)))[:, 0]
    return float(np.abs(approximated - function(*grid)).max())


def _cells(low: float, high: float, bumps: int) -> tuple[Array, Array]:
    """Edges (bumps + 1,) and centres (bumps,) of equal cells.

    The outermost edges stand one cell further out, so that the function's ends are under a bump, too, and
    sigmoids have risen by then.
    """
    low, high = check_interval(low, high)
    edges = np.linspace(low, high, check_int("bumps", bumps) + 1, dtype=np.float64)
    centres = (edges[:-1] + edges[1:]) / 2
    width = edges[1] - edges[0]
    edges[0] -= width
    edges[-1] += width
    return edges, centres


def _values(name: str, values: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(values, np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(
            f"{name}: expected finite values of shape {shape}, got shape {array.shape} with "
            f"{np.count_nonzero(~np.isfinite(array))} that are not. Pass a continuous function of arrays."
        )
    return array


def _steps(kernel: Array, bias: Array, steepness: float | None, name: str) -> Any:
    """H(W x + b), or sigmoid(k (W x + b)), as two Keras layers."""
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
