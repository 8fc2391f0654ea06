"""Directions of the latent space carry meaning: a trained DCGAN, walked through and added up.

    python examples/10_dcgan.py [--quick] [--out FILE]

Some 20 seconds. Expected: digits turn into one another on the way between latents; latents - thin + bold
draws the same digits with more ink.
"""

import numpy as np
from chapter import chapter

from keras_dl.models import DCGAN
from keras_dl.theory.plots import plot_images


def main():
    page = chapter(13, 4.4)
    first, second, third = page.axes(3)
    gan = DCGAN.from_preset("dcgan-mnist")
    plot_images(
        first, np.asarray(gan.generate(64, seed=1)), columns=8, title="G(z) of 64 draws z ~ U(-1, 1)^100"
    )

    ends = np.asarray(gan.sample_prior(14, seed=5))
    walks = np.asarray(gan.interpolate(ends[:7], ends[7:], steps=8))
    plot_images(second, walks.reshape(-1, 28, 28, 1), columns=8, title="on the line between two latents")

    z = np.asarray(gan.sample_prior(500 if page.quick else 2000, seed=2))
    ink = np.asarray(gan.generate(z)).mean(axis=(1, 2, 3))
    order, tenth = ink.argsort(), len(z) // 10
    thin, bold = z[order[:tenth]], z[order[-tenth:]]
    # A mean over many keeps little but what they share, the ink; three steps along it show clearly.
    minus, plus = 3 * thin.mean(axis=0), 3 * bold.mean(axis=0)
    start = thin[:8]
    rows = [np.asarray(gan.generate(start)), np.asarray(gan.arithmetic(start, minus, plus))]
    print(f"Ink of the thin digits {rows[0].mean():.3f}, after - thin + bold {rows[1].mean():.3f}")
    steps = [np.asarray(gan.arithmetic(start, share * minus, share * plus)) for share in (1 / 3, 2 / 3)]
    shown = np.concatenate([rows[0], *steps, rows[1]])
    plot_images(third, shown, columns=8, title="thin digits (above) - thin + bold, step by step")
    page.save()


if __name__ == "__main__":
    main()
