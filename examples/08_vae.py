"""VAE: the ELBO as a bound of an exactly known log p(x), and samples of a trained model.

    python examples/08_vae.py [--quick] [--out FILE]

About 12 seconds. Expected: the ELBO equals log p(x) if q is the posterior, and is otherwise lower by the
divergence between the two; the bound of k samples rises toward log p(x).
"""

import numpy as np
from chapter import chapter

from keras_dl.models import VAE
from keras_dl.reports.style import FAINT
from keras_dl.reports.theory_figures import plot_images, plot_lines
from keras_dl.theory import LinearGaussianVAE


def main():
    page = chapter(13, 3.8)
    first, second, third = page.axes(3)
    model = LinearGaussianVAE(np.array([[1.5], [0.5]]), np.zeros(2), 0.5)
    x = model.sample(500)
    exact, covariance = model.posterior(x)
    log_p = model.log_evidence(x).mean()
    ratios = np.geomspace(0.2, 5, 41)
    bounds = [model.elbo(x, exact, np.full((500, 1), covariance[0, 0] * ratio**2)) for ratio in ratios]
    gaps = [model.gap(x, exact, np.full((500, 1), covariance[0, 0] * ratio**2)) for ratio in ratios]
    curves = {
        "ELBO": np.mean(bounds, axis=1),
        "ELBO + KL[q || p(z|x)]": np.mean(bounds, axis=1) + np.mean(gaps, axis=1),
    }
    plot_lines(
        first,
        ratios,
        curves,
        xlabel="width of q over that of p(z|x)",
        ylabel="nats",
        title="the ELBO is a bound",
        log="x",
    )
    first.axhline(log_p, color=FAINT, lw=1, ls="--")
    first.text(ratios[0], log_p + 0.2, "log p(x)", fontsize=8)
    first.set_ylim(top=log_p + 1)
    print(f"log p(x) {log_p:.3f}, best ELBO {np.mean(bounds, axis=1).max():.3f}")

    wide = np.full((500, 1), 9 * covariance[0, 0])
    counts = np.array([1, 2, 4, 8, 16, 32, 64, 128])
    repeats = 4 if page.quick else 20
    iwae = np.array(
        [[model.iwae(x, exact, wide, int(k), seed=seed).mean() for seed in range(repeats)] for k in counts]
    )
    plot_lines(
        second,
        counts,
        {"bound of k samples": iwae},
        xlabel="k",
        ylabel="nats",
        title="more samples, a tighter bound",
        log="x",
    )
    second.axhline(log_p, color=FAINT, lw=1, ls="--")
    second.text(1, log_p + 0.02, "log p(x)", fontsize=8)
    print(
        "Bound of k samples: "
        + ", ".join(f"{k}: {each.mean():.3f}" for k, each in zip(counts, iwae, strict=True))
    )

    vae = VAE.from_preset("vae-mnist")
    plot_images(third, np.asarray(vae.sample(50, seed=3)), columns=10, title="samples of a trained VAE")
    page.save()


if __name__ == "__main__":
    main()
