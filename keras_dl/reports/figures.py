"""Pictures of the results of models: figures of arrays, without pyplot and its global state.

Every function returns a `matplotlib.figure.Figure`; `save` writes one as PNG.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from keras_dl.reports.style import BLUE, FAINT, INK, ORANGE
from keras_dl_export.files import replacing

_GAP = 1  # pixels between two images of a grid


def save(figure: Figure, path: str | Path, *, dpi: int = 150) -> Path:
    """Write `figure` to `path` as PNG, atomically: a reader never sees an incomplete file."""
    with replacing(path) as draft:
        figure.savefig(draft, format="png", dpi=dpi, facecolor="white")
    return Path(path)


def image_grid(images: ArrayLike, *, columns: int | None = None, title: str = "") -> Figure:
    """Return a grid of images, row by row.

    Args:
        images: (N, H, W, C) in [0, 1], C being 1 (gray) or 3 (RGB).
        columns: images per row; by default about as many as rows.
        title: title of the figure.
    """
    pixels = _checked_images(images)
    columns = columns or math.ceil(math.sqrt(len(pixels)))
    return _picture(_tiled(pixels, columns), tiles=(math.ceil(len(pixels) / columns), columns), title=title)


def reconstructions(
    originals: ArrayLike, reconstructed: ArrayLike, *, columns: int = 10, title: str = ""
) -> Figure:
    """Return pairs of rows: originals, and their reconstructions below.

    Args:
        originals: (N, H, W, C) in [0, 1].
        reconstructed: the reconstructions, in the same shape.
        columns: pairs per row.
        title: title of the figure.
    """
    above, below = _checked_images(originals), _checked_images(reconstructed)
    if above.shape != below.shape:
        raise ValueError(
            f"reconstructed: expected images of the shape of the originals, {above.shape}, got "
            f"{below.shape}. Pass one reconstruction for each original."
        )
    columns = min(columns, len(above))
    rows = [
        pixels
        for start in range(0, len(above), columns)
        for pixels in (above[start : start + columns], below[start : start + columns])
    ]
    padded = np.concatenate([_filled(row, columns) for row in rows])
    figure = _picture(_tiled(padded, columns), tiles=(len(rows), columns), title=title)
    (axes,) = figure.axes
    height = above.shape[1] + _GAP
    centers = [row * height + above.shape[1] / 2 for row in range(len(rows))]
    axes.set_yticks(centers, ["original", "model"] * (len(rows) // 2), fontsize=8, color=INK)
    axes.tick_params(length=0)
    return figure


def latent_traversal(
    images: ArrayLike, values: Sequence[float], *, latents: Sequence[int] | None = None, title: str = ""
) -> Figure:
    """Return a traversal of latents: one row per latent, which varies while the others are constant.

    Args:
        images: (Z, S, H, W, C) in [0, 1]: S steps along each of Z latents.
        values: the S values of the varied latent.
        latents: the latents of the rows, counted from 0; by default all.
        title: title of the figure.
    """
    pixels = np.asarray(images, np.float32)
    rows, steps, height, width = pixels.shape[:4]
    figure = _picture(
        _tiled(_checked_images(pixels.reshape(-1, *pixels.shape[2:])), steps),
        tiles=(rows, steps),
        title=title,
    )
    (axes,) = figure.axes
    axes.set_yticks(
        [row * (height + _GAP) + height / 2 for row in range(rows)],
        [f"$z_{{{latent + 1}}}$" for latent in (range(rows) if latents is None else latents)],
    )
    axes.set_xticks(
        [column * (width + _GAP) + width / 2 for column in range(steps)],
        [f"{value:+.1f}" for value in values],
    )
    axes.tick_params(length=0, labelsize=8, colors=INK)
    return figure


def confusion_matrix(matrix: ArrayLike, class_names: Sequence[str], *, title: str = "") -> Figure:
    """Return a confusion matrix: one row per true class, shaded by the fraction of the row.

    Args:
        matrix: (K, K) counts, [true class, predicted class].
        class_names: the K names.
        title: title of the figure.
    """
    counts = np.asarray(matrix)
    classes = len(class_names)
    if counts.shape != (classes, classes):
        raise ValueError(
            f"matrix: expected counts of shape ({classes}, {classes}), one row and column per class, got "
            f"{counts.shape}. Pass one name for each class."
        )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(1.6 + 0.42 * classes, 12)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if classes <= 20:
        for truth, prediction in np.argwhere(counts):
            axes.text(
                prediction, truth, f"{counts[truth, prediction]:,}",
                ha="center", va="center", fontsize=8,
                color="white" if shares[truth, prediction] > 0.5 else INK,
            )  # fmt: skip
    axes.set_xticks(range(classes), class_names, rotation=90 if max(map(len, class_names)) > 3 else 0)
    axes.set_yticks(range(classes), class_names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10, color=INK)
    _style(axes)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def learning_curves(history: Mapping[str, Sequence[float]], *, title: str = "") -> Figure:
    """Return the curves of all metrics over the epochs, training and validation in one panel.

    Args:
        history: name of a metric -> its value after each epoch; `val_<name>` is for validation data.
        title: title of the figure.
    """
    aside = {name for name in history if name == "seconds" or name.endswith("learning_rate")}
    names = [name for name in history if not name.startswith("val_") and name not in aside]
    names += [name for name in history if name.startswith("val_") and name[4:] not in history]
    if not names:
        raise ValueError(
            "history: expected at least one metric, got none. Pass the history of a training run."
        )
    columns = min(len(names), 3)
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(3.6 * columns, 2.6 * rows + 0.3), layout="constrained")
    for index, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, index + 1)
        curves = ((name, "train", BLUE), (f"val_{name}", "validation", ORANGE))
        for key, label, color in curves:
            if key in history:
                values = history[key]
                marker = "o" if len(values) < 15 else ""
                axes.plot(range(1, len(values) + 1), values, color=color, label=label, marker=marker, ms=3)
        axes.set_title(name.removeprefix("val_").replace("_", " "), fontsize=10, color=INK)
        axes.set_xlabel("epoch", fontsize=8)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        if f"val_{name}" in history:
            axes.legend(frameon=False, fontsize=8)
        _style(axes)
    if title:
        figure.suptitle(title, fontsize=11, color=INK)
    return figure


def text_page(text: str, *, columns: int = 80, title: str = "") -> Figure:
    """Return a picture of a text in a monospaced font.

    Args:
        text: one or more lines.
        columns: characters per line.
        title: title of the figure.
    """
    lines = [
        line[start : start + columns]
        for line in text.split("\n")
        for start in range(0, max(len(line), 1), columns)
    ]
    figure = Figure(figsize=(columns * 0.082 + 0.4, len(lines) * 0.185 + 0.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_title(title, fontsize=10, color=INK)
    axes.text(
        0, 1, "\n".join(lines),
        family="monospace", fontsize=9, color=INK, va="top", transform=axes.transAxes, parse_math=False,
    )  # fmt: skip
    return figure


def answers(truth: ArrayLike, answered: ArrayLike, *, title: str = "") -> Figure:
    """Return a scatter plot of predictions over targets; correct predictions are on the line.

    Args:
        truth: the targets, (N,).
        answered: the predictions, (N,).
        title: title of the figure.
    """
    x, y = np.asarray(truth), np.asarray(answered)
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot()
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    axes.plot([low, high], [low, high], color=FAINT, linewidth=1)
    axes.scatter(x, y, s=6, color=BLUE, alpha=0.5, linewidths=0)
    axes.set_xlabel("target")
    axes.set_ylabel("prediction")
    axes.set_title(title, fontsize=10, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    _style(axes)
    return figure


def _checked_images(images: ArrayLike) -> NDArray[np.float32]:
    pixels = np.asarray(images, np.float32)
    if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3) or not len(pixels):
        raise ValueError(
            f"images: expected shape (N, H, W, C) with N of at least 1 and C 1 or 3, got {pixels.shape}. "
            "Add the missing axis."
        )
    return np.clip(pixels, 0, 1)


def _filled(images: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return `images` followed by white ones, `count` in total."""
    return np.concatenate([images, np.ones((count - len(images), *images.shape[1:]), np.float32)])


def _tiled(images: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """Return one picture (rows (H+1) - 1, columns (W+1) - 1, C), white between the images (N, H, W, C)."""
    rows = math.ceil(len(images) / columns)
    images = _filled(images, rows * columns)
    images = np.pad(images, ((0, 0), (0, _GAP), (0, _GAP), (0, 0)), constant_values=1)
    _, height, width, channels = images.shape
    tiles = images.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return tiles.reshape(rows * height, columns * width, channels)[:-_GAP, :-_GAP]


def _picture(pixels: NDArray[np.float32], *, tiles: tuple[int, int], title: str) -> Figure:
    """Return a figure of one array of pixels, whose images are about half an inch wide."""
    width = max(min(0.55 * tiles[1], 12), 2.5)
    height = width * pixels.shape[0] / pixels.shape[1]
    figure = Figure(figsize=(width + 0.5, height + 0.5), layout="constrained")
    axes = figure.add_subplot()
    extent = (0, pixels.shape[1], pixels.shape[0], 0)
    if pixels.shape[-1] == 1:
        axes.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent)
    else:
        axes.imshow(pixels, interpolation="nearest", extent=extent)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10, color=INK)
    return figure


def _style(axes: Any) -> None:
    axes.tick_params(labelsize=8, colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.spines[:].set_color(FAINT)
