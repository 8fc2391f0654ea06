"""Equivariance: shifted inputs of convolution and pooling, measured on digits, with the limits.

    python examples/07_equivariance.py [--quick] [--out FILE]

About 12 seconds. Expected: a gap of 0 for convolution if nothing leaves the image; gaps at borders, between
the steps of a stride, and for pooling beyond its window.
"""

import keras
import numpy as np
from chapter import chapter

from keras_dl.data import load
from keras_dl.layers import Conv2D
from keras_dl.reports.theory_figures import plot_images, plot_lines
from keras_dl.theory import equivariance_gap, invariance_gap, shift_images


def main():
    page = chapter(13, 3.8)
    first, second, third = page.axes(3)
    count = 50 if page.quick else 300
    images, _ = next(load("digits", "test", batch_size=count).as_numpy_iterator())
    roomy = np.pad(images, ((0, 0), (8, 8), (8, 8), (0, 0)))
    keras.utils.set_random_seed(0)
    plain, strided = (Conv2D(8, 3, strides=stride, padding=1, use_bias=False) for stride in (1, 2))
    shifts = range(7)

    shown = np.concatenate([roomy[:4], shift_images(roomy[:4], 0, 4)])
    plot_images(first, shown, columns=4, title="digits x, and T(x): 4 pixels to the right")

    gaps = {
        "with margin": [equivariance_gap(plain, roomy, 0, by) for by in shifts],
        "cut at the border": [equivariance_gap(plain, images, 0, by) for by in shifts],
        "stride 2": [equivariance_gap(strided, roomy, 0, by, stride=2) for by in shifts],
    }
    plot_lines(
        second,
        shifts,
        gaps,
        xlabel="shift in pixels",
        ylabel="|f(Tx) - T f(x)| / |f(x)|",
        title="convolution",
    )
    pools = {f"max over {size} x {size}": keras.layers.MaxPooling2D(size) for size in (2, 4, 8)}
    pools["max over all"] = keras.layers.GlobalMaxPooling2D()
    invariance = {name: [invariance_gap(pool, roomy, 0, by) for by in shifts] for name, pool in pools.items()}
    plot_lines(
        third, shifts, invariance, xlabel="shift in pixels", ylabel="|f(Tx) - f(x)| / |f(x)|", title="pooling"
    )
    for name, values in {**gaps, **invariance}.items():
        print(f"{name}: " + " ".join(f"{each:.3f}" for each in values))
    page.save()


if __name__ == "__main__":
    main()
