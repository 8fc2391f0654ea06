"""Universal approximation: sums of bumps, built from pairs of steps, approximate continuous functions.

    python examples/02_universal_approximation.py [--quick] [--out FILE]

About 15 seconds; the networks are built, not trained. Expected: the largest error halves when the number of
bumps doubles, in one dimension and in two; steep sigmoids approach steps.
"""

import numpy as np
from chapter import chapter

from keras_dl.reports.theory_figures import plot_approximation, plot_lines, plot_surface
from keras_dl.theory import bump_network, sup_error, tower_network


def wave(x):
    return np.sin(3 * x) + 0.3 * np.cos(9 * x)


def hill(x, y):
    return np.sin(2 * x) * np.cos(2 * y)


def main():
    page = chapter(12, 6.6)
    axes = page.axes(3, rows=2)
    networks = {f"{bumps} bumps": bump_network(wave, -2, 2, bumps) for bumps in (8, 32)}
    plot_approximation(axes[0], wave, networks, -2, 2, title="pairs of steps")
    soft = {f"k = {k}": bump_network(wave, -2, 2, 16, steepness=k) for k in (5, 20, 200)}
    plot_approximation(axes[1], wave, soft, -2, 2, title="16 pairs of sigmoids, steepness k")

    widths = np.array([4, 8, 16, 32, 64, 128][: 4 if page.quick else 6])
    one = [sup_error(bump_network(wave, -2, 2, int(n)), wave, -2, 2) for n in widths]
    squares = widths[:4]
    two = [
        sup_error(tower_network(hill, -2, 2, int(n)), hill, -2, 2, dimensions=2, points=150) for n in squares
    ]
    for n, error in zip(widths, one, strict=True):
        print(f"{n:4d} bumps: largest error {error:.4f}")
    for n, error in zip(squares, two, strict=True):
        print(f"{n:4d} x {n} towers: largest error {error:.4f}")
    curves = {"one dimension": one, "two dimensions": [*two, *[np.nan] * (len(widths) - len(two))]}
    plot_lines(
        axes[2], widths, curves, xlabel="bumps along each axis", ylabel="largest error",
        title="error against width", log="xy",
    )  # fmt: skip

    plot_surface(axes[3], hill, -2, 2, title="a function of two numbers")
    for each, n in ((axes[4], 8), (axes[5], 24)):
        towers = tower_network(hill, -2, 2, n)
        plot_surface(
            each,
            lambda x, y, f=towers: f(np.column_stack([x, y]).astype("float32")),
            -2,
            2,
            title=f"{n} x {n} towers",
        )
    page.save()


if __name__ == "__main__":
    main()
