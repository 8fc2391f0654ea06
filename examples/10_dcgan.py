"""DCGAN: interpolation and vector arithmetic in the latent space of a trained model.

    python examples/10_dcgan.py [--quick] [--out FILE]

About 15 seconds. Expected: digits change gradually between two latents; latents - thin + bold nearly doubles
the ink. The direction is not independent of the class: over the full distance, several digits change their
class.
"""

import numpy as np
from chapter import chapter

from keras_dl.models import CNN, DCGAN
from keras_dl.reports.theory_figures import plot_images


def read(classifier, images):
    """Return the classes that a trained classifier predicts."""
    return np.asarray(classifier(images)).argmax(-1)


def thin_and_bold(z, classes, ink):
    """Return for each class the latents of the fifth with the least ink, in order, and with the most ink."""
    thin, bold = [], []
    for each in range(10):
        members = np.flatnonzero(classes == each)
        members = members[ink[members].argsort()]
        fifth = len(members) // 5
        thin.append(z[members[:fifth]])
        bold.append(z[members[-fifth:]])
    return thin, bold


def main():
    page = chapter(13, 4.4)
    first, second, third = page.axes(3)
    gan = DCGAN.from_preset("dcgan-mnist")
    plot_images(
        first, np.asarray(gan.generate(64, seed=1)), columns=8, title="G(z) of 64 draws z ~ U(-1, 1)^100"
    )

    ends = np.asarray(gan.sample_prior(14, seed=5))
    walks = np.asarray(gan.interpolate(ends[:7], ends[7:], steps=8))
    plot_images(second, walks.reshape(-1, 28, 28, 1), columns=8, title="interpolation between two latents")

    classifier = CNN.from_preset("cnn-mnist")
    z = np.asarray(gan.sample_prior(1000 if page.quick else 4000, seed=2))
    drawn = np.asarray(gan.generate(z=z))
    thin, bold = thin_and_bold(z, read(classifier, drawn), drawn.mean(axis=(1, 2, 3)))
    start = np.stack([each[0] for each in thin])
    # The means over many latents differ only in the ink.
    minus, plus = (np.mean([each.mean(axis=0) for each in group], axis=0) for group in (thin, bold))
    steps = (0, 0.25, 0.5, 0.75, 1)
    rows = [np.asarray(gan.arithmetic(start, times * minus, times * plus)) for times in steps]
    for times, row in zip(steps, rows, strict=True):
        kept = (read(classifier, row) == np.arange(10)).sum()
        print(f"{times} x (- thin + bold): ink {row.mean():.3f}, {kept} of 10 keep their class")
    plot_images(
        third, np.concatenate(rows), columns=10, title="thin digits (above) - thin + bold, step by step"
    )
    page.save()


if __name__ == "__main__":
    main()
