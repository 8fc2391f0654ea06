"""Plots of the theorems: every `plot_*` takes matplotlib axes, draws on them and returns them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from keras_dl.renamed import renamed
from keras_dl.reports.style import BLUE, COLORS, INK, ORANGE, style
from keras_dl.theory.generalization import ErrorTerms, hoeffding_bound, simulated_tail
from keras_dl.theory.gradient_flow import GradientNorms
from keras_dl.theory.perceptron_convergence import PerceptronRun


def plot_lines(
    axes: Axes,
    x: ArrayLike,
    curves: Mapping[str, ArrayLike],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    log: str = "",
) -> Axes:
    """Plot curves over one quantity, with a legend.

    Args:
        axes: the axes to draw on.
        x: (N,), shared by all curves.
        curves: name -> values (N,), or (N, repeats), whose mean is drawn within its range.
        xlabel: label of x.
        ylabel: label of the values.
        title: title of the plot.
        log: the axes with a logarithmic scale, `"x"`, `"y"` or `"xy"`.
    """
    places = np.asarray(x)
    for (name, values), color in zip(curves.items(), _colors(len(curves)), strict=True):
        array = np.asarray(values, np.float64)
        if array.ndim == 2:
            axes.fill_between(places, array.min(axis=1), array.max(axis=1), color=color, alpha=0.15, lw=0)
            array = array.mean(axis=1)
        marker = "o" if len(places) < 15 else ""
        axes.plot(places, array, color=color, label=name, marker=marker, ms=3, lw=1.6)
    _scale(axes, log)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=8)
    return style(axes, xlabel=xlabel, ylabel=ylabel, title=title)


def plot_separation(
    axes: Axes, x: ArrayLike, y: ArrayLike, w: ArrayLike, b: float, *, title: str = ""
) -> Axes:
    """Plot points of two classes in the plane, and the line w.x + b = 0.

    Args:
        axes: the axes to draw on.
        x: (N, 2).
        y: labels (N,), 0 or 1.
        w: (2,).
        b: the negative threshold.
        title: title of the plot.
    """
    points, labels, normal = np.asarray(x), np.asarray(y), np.asarray(w, np.float64)
    for label, color, marker in ((0, BLUE, "o"), (1, ORANGE, "s")):
        of_class = points[labels == label]
        axes.scatter(of_class[:, 0], of_class[:, 1], s=18, color=color, marker=marker, label=f"class {label}")
    limits = axes.get_xlim(), axes.get_ylim()
    length = float(normal @ normal)
    if length:
        foot, along = -b * normal / length, np.array([-normal[1], normal[0]]) / np.sqrt(length)
        reach = 10 * max(high - low for low, high in limits)
        ends = np.stack([foot - reach * along, foot + reach * along])
        axes.plot(ends[:, 0], ends[:, 1], color=INK, lw=1.4, label="w.x + b = 0")
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
    axes.set_aspect("equal", adjustable="box")
    axes.legend(
        frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=3, columnspacing=1
    )
    return style(axes, xlabel="$x_1$", ylabel="$x_2$", title=title)


def plot_mistakes(axes: Axes, run: PerceptronRun, *, bound: float | None = None, title: str = "") -> Axes:
    """Plot the total number of mistakes after each epoch, and Novikoff's bound if given."""
    total = np.cumsum(run.mistakes)
    epochs = np.arange(1, len(total) + 1)
    axes.step(epochs, total, where="mid", color=BLUE, lw=1.6, label="mistakes so far")
    if bound is not None:
        axes.axhline(bound, color=ORANGE, lw=1.4, ls="--", label=f"$(R/\\gamma)^2$ = {bound:.0f}")
        _scale(axes, "y")
    axes.legend(frameon=False, fontsize=8)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    return style(axes, xlabel="epoch", ylabel="mistakes", title=title)


def plot_approximation(
    axes: Axes,
    function: Callable[..., Any],
    models: Mapping[str, Any],
    low: float,
    high: float,
    *,
    title: str = "",
) -> Axes:
    """Plot a function of one variable, and its approximations by networks.

    Args:
        axes: the axes to draw on.
        function: f, a function of an array.
        models: name -> a model that maps (N, 1) to (N, 1).
        low: lower end of x.
        high: upper end of x.
        title: title of the plot.
    """
    x = np.linspace(low, high, 1000)
    curves = {name: np.asarray(model(x[:, None].astype(np.float32)))[:, 0] for name, model in models.items()}
    plot_lines(axes, x, curves, xlabel="x", ylabel="f(x)", title=title)
    axes.plot(x, function(x), color=INK, lw=1, ls="--", label="f")
    axes.legend(frameon=False, fontsize=8)
    return axes


def plot_surface(
    axes: Axes, function: Callable[..., Any], low: float, high: float, *, title: str = "", points: int = 120
) -> Axes:
    """Plot a function of two variables on a square, by color.

    Args:
        axes: the axes to draw on.
        function: f, which maps two arrays (N,) to an array of the same shape.
        low: lower end of both axes.
        high: upper end of both axes.
        title: title of the plot.
        points: the number of points along each axis.
    """
    x, y = np.meshgrid(*[np.linspace(low, high, points)] * 2, indexing="xy")
    values = np.asarray(function(x.ravel(), y.ravel())).reshape(points, points)
    axes.imshow(
        values, origin="lower", extent=(low, high, low, high), cmap="viridis", interpolation="nearest"
    )
    return style(axes, xlabel="x", ylabel="y", title=title, grid=False)


def plot_error_terms(
    axes: Axes,
    x: Sequence[float],
    terms: Sequence[ErrorTerms],
    *,
    xlabel: str,
    title: str = "",
    log: str = "",
) -> Axes:
    """Plot the stacked terms of the risk over a varied quantity, and the risk itself.

    Args:
        axes: the axes to draw on.
        x: (N,).
        terms: the terms for each x.
        xlabel: label of x.
        title: title of the plot.
        log: the axes with a logarithmic scale.
    """
    places = np.asarray(x, np.float64)
    parts = np.array([each[:4] for each in terms]).T
    # Negative terms have no thickness; the line of the risk still shows the sum.
    names = ("Bayes risk", "approximation", "estimation", "optimization")
    colors = ("#d1d5db", "#93c5fd", "#fdba74", "#86efac")
    axes.stackplot(places, np.maximum(parts, 0), labels=names, colors=colors)
    axes.plot(places, [each.risk for each in terms], color=INK, lw=1.4, marker="o", ms=3, label="risk")
    _scale(axes, log)
    axes.set_xlim(places[0], places[-1])
    axes.legend(frameon=False, fontsize=7)
    return style(axes, xlabel=xlabel, ylabel="squared error", title=title)


def plot_tails(
    axes: Axes, n: int, epsilons: ArrayLike, *, risk: float = 0.5, trials: int = 10_000, title: str = ""
) -> Axes:
    """Plot the frequency of deviations above epsilon for samples of n, and Hoeffding's bound."""
    deviations = np.asarray(epsilons, np.float64)
    tail = simulated_tail(n, deviations, risk=risk, trials=trials)
    bound = [hoeffding_bound(n, float(epsilon)) for epsilon in deviations]
    curves = {"simulated": np.where(tail > 0, tail, np.nan), "$2e^{-2\\epsilon^2n}$": np.minimum(bound, 1)}
    plot_lines(
        axes, deviations, curves, xlabel="$\\epsilon$", ylabel="P(|L - L̂| > $\\epsilon$)",
        title=title or f"n = {n:,}", log="y",
    )  # fmt: skip
    axes.set_ylim(0.5 / trials, 2)
    return axes


def plot_gradient_norms(
    axes: Axes, norms: Mapping[str, GradientNorms | ArrayLike], *, title: str = "", steps_back: bool = True
) -> Axes:
    """Plot |dh_T / dh_k| over the T - k steps of the gradient, on a logarithmic scale.

    Args:
        axes: the axes to draw on.
        norms: name -> norms, or an array (T + 1,).
        title: title of the plot.
        steps_back: whether x counts the steps back from T; otherwise it is k.
    """
    for (name, each), color in zip(norms.items(), _colors(len(norms)), strict=True):
        values = np.asarray(each.hidden if isinstance(each, GradientNorms) else each, np.float64)
        steps = np.arange(len(values))
        shown = np.where(values > 0, values, np.nan)
        axes.plot(steps[::-1] if steps_back else steps, shown, color=color, lw=1.6, label=name)
    _scale(axes, "y")
    axes.legend(frameon=False, fontsize=8)
    xlabel = "steps back, T - k" if steps_back else "k"
    return style(axes, xlabel=xlabel, ylabel="$||\\partial h_T / \\partial h_k||$", title=title)


@renamed(centers="centres")
def plot_points(
    axes: Axes, samples: ArrayLike, centers: ArrayLike, *, title: str = "", reach: float | None = None
) -> Axes:
    """Plot generated points in the plane, and the modes of the data.

    Args:
        axes: the axes to draw on.
        samples: (N, 2).
        centers: centers of the modes, (M, 2).
        title: title of the plot.
        reach: half the side of the visible square.
    """
    points, places = np.asarray(samples), np.asarray(centers)
    axes.scatter(points[:, 0], points[:, 1], s=4, color=BLUE, alpha=0.35, lw=0, label="generated")
    axes.scatter(
        places[:, 0], places[:, 1], s=40, color=ORANGE, marker="+", lw=1.2, label="modes of the data"
    )
    reach = reach or 1.5 * float(np.abs(places).max())
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    return style(axes, xlabel="$x_1$", ylabel="$x_2$", title=title)


def plot_matrix(
    axes: Axes, matrix: ArrayLike, *, title: str = "", xlabel: str = "", ylabel: str = ""
) -> Axes:
    """Plot a matrix by color: negative values blue, 0 white, positive values red."""
    values = np.asarray(matrix)
    limit = float(np.abs(values).max()) or 1.0
    axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest", aspect="auto")
    return style(axes, xlabel=xlabel, ylabel=ylabel, title=title, grid=False)


def plot_images(axes: Axes, images: ArrayLike, *, columns: int, title: str = "") -> Axes:
    """Plot a grid of images in [0, 1], (N, H, W, 1)."""
    pixels = np.clip(np.asarray(images, np.float32)[..., 0], 0, 1)
    rows = -(-len(pixels) // columns)
    pixels = np.pad(pixels, ((0, rows * columns - len(pixels)), (0, 1), (0, 1)), constant_values=1)
    _, height, width = pixels.shape
    tiles = (
        pixels.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
    )
    axes.imshow(tiles[:-1, :-1], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10, color=INK)
    return axes


def _scale(axes: Axes, log: str) -> None:
    """Set logarithmic scales whose labels do not overlap for any range."""
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if name in log:
            axes.set(**{f"{name}scale": "log"})
            low, high = sorted(axis.get_data_interval())
            if low > 0 and high < 300 * low:
                axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
            axis.set_minor_formatter(ticker.NullFormatter())


def _colors(count: int) -> list[str]:
    return [COLORS[index % len(COLORS)] for index in range(count)]
