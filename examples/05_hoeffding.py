"""Hoeffding's bound: how far the error on a sample can deviate, simulated tails, and a model's gap.

    python examples/05_hoeffding.py [--quick] [--out FILE]

About 15 seconds. Expected: no simulated tail above the bound; the generalization gap of an MLP on digits with
few examples grows during training.
"""

import numpy as np
from chapter import chapter

from keras_dl.callbacks import GeneralizationGap
from keras_dl.data import load
from keras_dl.models import MLP
from keras_dl.reports.theory_figures import plot_lines, plot_tails
from keras_dl.theory import hoeffding_bound, hoeffding_sample_size, simulated_tail


def main():
    page = chapter(13, 3.6)
    first, second, third, fourth = page.axes(4)
    epsilons, trials = np.linspace(0.01, 0.3, 30), 10_000 if page.quick else 200_000
    for axes, n in ((first, 50), (second, 500)):
        tail = simulated_tail(n, epsilons, trials=trials)
        assert all(tail <= [hoeffding_bound(n, float(each)) for each in epsilons])
        plot_tails(axes, n, epsilons, trials=trials)

    wanted = np.array([0.2, 0.1, 0.05, 0.02, 0.01])
    sizes = {
        f"$\\delta$ = {delta}": [hoeffding_sample_size(e, delta) for e in wanted] for delta in (0.05, 0.001)
    }
    print(f"Examples for an error known to 0.01 with 95 %: {hoeffding_sample_size(0.01, 0.05):,}")
    plot_lines(third, wanted, sizes, xlabel="$\\epsilon$", ylabel="examples n", title="sample size", log="xy")

    train, test = load("digits", "train[:200]", seed=0), load("digits", "test")
    gap = GeneralizationGap(load("digits", "train[:200]", shuffle=False), test)
    model = MLP(units=(64,), num_classes=10)
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train, epochs=15 if page.quick else 60, verbose=0, callbacks=[gap])
    epochs = np.arange(1, len(gap.gap) + 1)
    errors = {"training set (200)": gap.train_error, "test set": gap.test_error}
    plot_lines(fourth, epochs, errors, xlabel="epoch", ylabel="error", title="generalization gap")
    low, high = (np.array(gap.test_error) + sign * gap.deviation for sign in (-1, 1))
    fourth.fill_between(epochs, np.maximum(low, 0), high, color="#ea580c", alpha=0.12, lw=0)
    print(f"Gap {gap.gap[-1]:.3f}; the test error is known to {gap.deviation:.3f} with 95 %")
    page.save()


if __name__ == "__main__":
    main()
