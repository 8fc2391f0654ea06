"""Conditional GAN: images of a requested class.

    python examples/11_conditional_gan.py [--quick] [--out FILE]

About 15 seconds. Expected: in a grid of one latent per row and one class per column, a row has one style of
handwriting and all digits; a trained classifier predicts the requested class for at least 9 of 10 images.
"""

import numpy as np
from chapter import chapter

from keras_dl.models import CNN, ConditionalGAN
from keras_dl.reports.theory_figures import plot_images, plot_matrix


def main():
    page = chapter(11, 4.4)
    first, second = page.axes(2)
    gan = ConditionalGAN.from_preset("cgan-mnist")
    rows, classes = 8, np.arange(10)
    z = np.repeat(np.asarray(gan.sample_prior(rows, seed=1)), 10, axis=0)
    images = np.asarray(gan.generate(z=z, label=np.tile(classes, rows)))
    plot_images(first, images, columns=10, title="one z per row, one class per column")

    asked = np.repeat(classes, 20 if page.quick else 100)
    drawn = np.asarray(gan.generate(len(asked), label=asked, seed=2))
    answers = np.asarray(CNN.from_preset("cnn-mnist").predict(drawn, verbose=0)).argmax(-1)
    counts = np.zeros((10, 10))
    np.add.at(counts, (asked, answers), 1)
    share = (asked == answers).mean()
    print(f"The classifier predicts the requested class for {share:.1%} of the images")
    plot_matrix(
        second,
        counts,
        title=f"agreement: {share:.1%}",
        xlabel="predicted by a classifier",
        ylabel="requested",
    )
    second.set_aspect("equal")
    second.set_xticks(classes)
    second.set_yticks(classes)
    page.save()


if __name__ == "__main__":
    main()
