"""Backpropagation through time: vanishing and exploding gradients, term by term.

    python examples/12_rnn_bptt.py [--quick] [--out FILE]

About 3 seconds. Expected: the gradient of a loss with respect to much earlier steps vanishes; the spectral
radius of W determines the rate; clipping bounds the step and keeps its direction.
"""

import numpy as np
from chapter import chapter
from matplotlib import ticker

from keras_dl.reports.style import style
from keras_dl.reports.theory_figures import plot_gradient_norms, plot_lines
from keras_dl.theory import bptt, clip_by_norm, random_recurrence, rnn_gradient_norms

UNITS, FEATURES = 16, 4


def main():
    page = chapter(13, 3.8)
    first, second, third = page.axes(3)
    steps, length = (20, 60) if page.quick else (30, 100)
    rng = np.random.default_rng(0)
    u, v = 0.3 * rng.standard_normal((UNITS, FEATURES)), rng.standard_normal((1, UNITS)) / 4
    x, targets = rng.standard_normal((length, FEATURES)), rng.standard_normal((length, 1))

    found = bptt(random_recurrence(UNITS, 0.9), u, v, x[:steps], targets[:steps])
    sizes = np.linalg.norm(found.terms, axis=(2, 3))
    shown = np.where(sizes > 0, np.log10(np.maximum(sizes, 1e-12)), np.nan)
    image = first.imshow(shown, cmap="viridis", vmin=-6, vmax=0, origin="lower", aspect="auto")
    page.figure.colorbar(image, ax=first).set_label("log10 of the term's norm", fontsize=8)
    for axis in (first.xaxis, first.yaxis):
        axis.set_major_locator(ticker.MaxNLocator(integer=True))
    style(
        first,
        xlabel="k, where W was used",
        ylabel="j, step of the loss",
        title="the double sum",
        grid=False,
    )

    norms = {
        f"radius {radius}": rnn_gradient_norms(random_recurrence(UNITS, radius), 1e-9 * u, x)
        for radius in (0.8, 1.0, 1.2)
    }
    plot_gradient_norms(second, norms, title="the spectral radius of W, at small states")
    for name, each in norms.items():
        print(f"{name}: |ds_T/ds_0| = {each.hidden[0]:.1e} over {length} steps")

    radii = np.linspace(0.5, 1.6, 12)
    gradients = [
        bptt(random_recurrence(UNITS, r), 0.02 * u, v, x[:steps], targets[:steps]).gradient for r in radii
    ]
    curves = {
        "not clipped": [np.linalg.norm(each) for each in gradients],
        "clipped to 1": [np.linalg.norm(clip_by_norm(each, 1.0)) for each in gradients],
    }
    plot_lines(
        third, radii, curves, xlabel="spectral radius of W", ylabel="||dL/dW||", title="clipping", log="y"
    )
    page.save()


if __name__ == "__main__":
    main()
