"""Naive Bayes and logistic regression: test error on digits over the number of examples.

    python examples/04_generative_discriminative.py [--quick] [--out FILE]

About 25 seconds. Expected: the generative classifier has the lower error with few examples, the
discriminative one with many, and the curves cross in between.
"""

import numpy as np
import tensorflow as tf
from chapter import chapter
from sklearn.datasets import load_digits

from keras_dl.models import GaussianNaiveBayes, LogisticRegression
from keras_dl.reports.theory_figures import plot_lines
from keras_dl.theory import learning_curves


def classifier(model, steps):
    """Return a fit for `learning_curves`: the same model, reset and trained again."""
    variables = list(model.weights)
    if model.optimizer:
        model.optimizer.build(model.trainable_variables)
        variables += model.optimizer.variables
    start = [each.numpy() for each in variables]

    def fit(x, y):
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        # One fixed shape, traced once: padding examples have weight 0.
        filled = np.resize(np.arange(len(x)), 1024)
        weight = (np.arange(1024) < len(x)).astype("float32") * (1024 / len(x))
        batch = tf.data.Dataset.from_tensors((x[filled], y[filled], weight))
        model.fit(batch.repeat(steps), verbose=0)
        return lambda features: np.asarray(model.logits(features)).argmax(-1)

    return fit


def main():
    page = chapter(6, 3.8)
    (axes,) = page.axes(1)
    digits = load_digits()
    x, y = (digits.data / 16).astype("float32"), digits.target
    sizes = [10, 20, 40, 80, 160, 320, 640, 1000]
    if page.quick:
        sizes = [20, 80, 320, 1000]
    fits = {
        "Gaussian naive Bayes": classifier(GaussianNaiveBayes(10, 64, variance_floor=0.5), steps=1),
        "logistic regression": classifier(LogisticRegression(10, 64, l2=1e-4), steps=100),
    }
    curves = learning_curves(
        fits, (x[:1000], y[:1000]), (x[1000:], y[1000:]), sizes, repeats=1 if page.quick else 5
    )
    for row, n in enumerate(sizes):
        print(f"n = {n:4d}: " + ", ".join(f"{name} {each[row].mean():.3f}" for name, each in curves.items()))
    plot_lines(
        axes, sizes, curves, xlabel="training examples", ylabel="test error",
        title="generative and discriminative, on digits", log="x",
    )  # fmt: skip
    page.save()


if __name__ == "__main__":
    main()
