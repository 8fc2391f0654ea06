"""Perceptron: at most (R / margin)^2 mistakes on separable data, and no convergence on XOR.

    python examples/01_perceptron.py [--quick] [--out FILE]

About 5 seconds. Expected: fewer mistakes than the bound for every margin; on XOR the weights repeat with a
period of a few epochs.
"""

import numpy as np
from chapter import chapter

from keras_dl.reports.theory_figures import plot_lines, plot_mistakes, plot_separation
from keras_dl.theory import novikoff_bound, separation, train_perceptron

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def points(gap, n, seed=0):
    """Return points of the square, none closer than `gap` to the line that separates the classes."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (4 * n, 2))
    distance = x @ [0.8, 0.6] - 0.1
    x, distance = x[np.abs(distance) > gap][:n], distance[np.abs(distance) > gap][:n]
    return x, (distance > 0).astype(int)


def main():
    page = chapter(13, 3.6)
    left, middle, right, xor = page.axes(4)
    x, y = points(0.01, 60)
    run, bound = train_perceptron(x, y), novikoff_bound(x, y)
    print(f"margin {separation(x, y).margin:.3f}: {run.mistakes.sum()} mistakes, at most {bound:.0f}")
    plot_separation(left, x, y, run.w, run.b, title="the learned line")
    plot_mistakes(middle, run, bound=bound, title="mistakes and bound")

    gaps = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.4])
    seeds = range(3 if page.quick else 20)
    data = [[points(gap, 60, seed) for seed in seeds] for gap in gaps]
    mistakes = np.array([[train_perceptron(*each).mistakes.sum() for each in row] for row in data])
    bounds = np.array([[novikoff_bound(*each) for each in row] for row in data])
    assert (mistakes <= bounds).all()
    curves = {"mistakes": mistakes, "$(R/\\gamma)^2$": bounds}
    plot_lines(
        right,
        gaps,
        curves,
        xlabel="gap between the classes",
        ylabel="mistakes",
        title="mistakes against the gap",
        log="xy",
    )

    run = train_perceptron(*XOR, max_epochs=20)
    print(f"XOR: no margin ({separation(*XOR)}); the weights repeat every {run.period} epoch(s)")
    plot_mistakes(xor, run, title="XOR: no convergence")
    page.save()


if __name__ == "__main__":
    main()
