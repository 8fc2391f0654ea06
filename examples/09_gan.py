"""GAN: the optimal discriminator, the two losses of the generator, and mode collapse.

    python examples/09_gan.py [--quick] [--out FILE]

About 20 seconds (quick: too few steps for the ring). Expected: the discriminator fitted to samples is
p / (p + q); the minimax gradient vanishes if D rejects the samples with confidence; a generator that learns
20 times as fast as D collapses to a moving point, and covers all modes of the ring at equal rates.
"""

import keras
import numpy as np
from chapter import chapter
from scipy import stats

from keras_dl import theory
from keras_dl.models import GAN
from keras_dl.reports.theory_figures import plot_lines, plot_points

SIGMA = 0.05


def ring_gan(data, generator_rate, discriminator_rate, epochs):
    """Train a GAN of dense layers on points of the plane and return 2,000 points that it generates."""
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    generator = keras.Sequential([keras.Input((2,)), dense(64, "relu"), dense(64, "relu"), dense(2)])
    discriminator = keras.Sequential([keras.Input((2,)), dense(64, "relu"), dense(64, "relu"), dense(1)])
    gan = GAN(generator, discriminator, prior="normal")
    rates = (generator_rate, discriminator_rate)
    gan.compile(*(keras.optimizers.Adam(rate, beta_1=0.5) for rate in rates), steps_per_execution=16)
    gan.fit(data, batch_size=128, epochs=epochs, verbose=0)
    return np.asarray(gan.generate(2000))


def main():
    page = chapter(15, 3.4)
    first, second, *rings = page.axes(4)
    x = np.linspace(-8, 8, 1601)
    p, q = stats.norm(-1, 1).pdf(x), stats.norm(1.2, 0.6).pdf(x)
    rng = np.random.default_rng(0)
    best = theory.optimal_discriminator(p, q)
    fitted = theory.fit_discriminator(rng.normal(-1, 1, 5000), rng.normal(1.2, 0.6, 5000))(x)
    value = theory.game_value(p, q, best, x)
    jsd = theory.jensen_shannon_divergence(p, q, x)
    print(f"Value at the optimum {value:.6f}, 2 JSD - log 4 = {2 * jsd - np.log(4):.6f}")
    curves = {"p, the data": p, "q, the generator": q, "D fitted to samples": fitted, "p / (p + q)": best}
    plot_lines(first, x, curves, xlabel="x", ylabel="density, probability", title="the optimal discriminator")
    first.lines[-1].set_linestyle("--")
    first.lines[-1].set_color("#1f2937")
    first.legend(frameon=False, fontsize=7)
    first.set_ylim(0, 1.45)
    first.set_xlim(-5, 5)

    d = np.geomspace(1e-4, 0.999, 200)
    gradients = theory.generator_gradients(d)
    curves = {"log(1 - D(G(z)))": gradients.minimax, "-log D(G(z))": gradients.non_saturating}
    plot_lines(
        second,
        d,
        curves,
        xlabel="D(G(z))",
        ylabel="size of the gradient",
        title="gradient of the generator",
        log="xy",
    )

    centers = theory.ring_centers(8, 1.0)
    data = theory.ring_of_gaussians(4096, centers, SIGMA).astype("float32")
    epochs = 6 if page.quick else 60
    for axes, name, rates in zip(
        rings, ("fast generator", "equal rates"), ((1e-2, 5e-4), (1e-3, 1e-3)), strict=True
    ):
        samples = ring_gan(data, *rates, epochs)
        found = theory.mode_coverage(samples, centers, SIGMA)
        print(f"{name}: {found.covered} of 8 modes, {found.quality:.0%} of the points belong to one")
        plot_points(axes, samples, centers, title=f"{name}: {found.covered} of 8 modes")
    page.save()


if __name__ == "__main__":
    main()
