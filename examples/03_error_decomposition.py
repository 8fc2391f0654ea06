"""Error decomposition: approximation, estimation and optimization error, measured separately.

    python examples/03_error_decomposition.py [--quick] [--out FILE]

About 6 seconds. Expected: the approximation error falls with the size of the family while the estimation
error rises; the estimation error falls with n; the optimization error falls with the epochs. Their sum and
the noise are the risk.
"""

import numpy as np
from chapter import chapter

from keras_dl.reports.theory_figures import plot_error_terms
from keras_dl.theory import ErrorTerms, decompose_error


def wave(x):
    return np.sin(3 * x) + x


def mean_terms(degree, n, epochs, samples):
    runs = [
        decompose_error(degree, n, epochs, function=wave, learning_rate=0.3, seed=seed)
        for seed in range(samples)
    ]
    return ErrorTerms(*np.mean(runs, axis=0))


def main():
    page = chapter(13, 3.8)
    samples = 10 if page.quick else 100
    degrees, sizes, epochs = (
        [0, 1, 2, 3, 4, 6, 8],
        [40, 80, 160, 320, 640],
        [1, 2, 4, 8, 16, 32, 64],
    )
    sweeps = (
        ("degree of the polynomials", degrees, [(degree, 100, 1000) for degree in degrees], ""),
        ("examples n", sizes, [(5, n, 200) for n in sizes], "x"),
        ("epochs of gradient descent", epochs, [(5, 200, each) for each in epochs], "x"),
    )
    for axes, (name, values, settings, log) in zip(page.axes(3), sweeps, strict=True):
        terms = [mean_terms(*each, samples) for each in settings]
        plot_error_terms(axes, values, terms, xlabel=name, title=f"error against {name.split()[0]}", log=log)
        for value, each in zip(values, terms, strict=True):
            parts = ", ".join(f"{key} {part:.3f}" for key, part in each._asdict().items())
            print(f"{name} {value}: {parts}")
            assert abs(sum(each[:4]) - each.risk) < 1e-9
    page.save()


if __name__ == "__main__":
    main()
