"""A conditional GAN draws the class it is asked for.

    python examples/11_conditional_gan.py [--quick] [--out FILE]

Some 15 seconds. Expected: one latent a row, one class a column, the hand stays and the digit changes; a
trained classifier reads the class that was asked for in at least 9 of 10 pictures.
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
    images = np.asarray(gan.generate(z, np.tile(classes, rows)))
    plot_images(first, images, columns=10, title="one z a row, one class a column")

    asked = np.repeat(classes, 20 if page.quick else 100)
    drawn = np.asarray(gan.generate(len(asked), asked, seed=2))
    answers = np.asarray(CNN.from_preset("cnn-mnist").predict(drawn, verbose=0)).argmax(-1)
    counts = np.zeros((10, 10))
    np.add.at(counts, (asked, answers), 1)
    share = (asked == answers).mean()
    print(f"The classifier reads the class that was asked for in {share:.1%} of {len(asked)} pictures")
    plot_matrix(
        second, counts, title=f"read as asked: {share:.1%}", xlabel="read by a classifier", ylabel="asked for"
    )
    second.set_aspect("equal")
    second.set_xticks(classes)
    second.set_yticks(classes)
    page.save()


if __name__ == "__main__":
    main()
