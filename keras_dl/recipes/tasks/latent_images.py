"""Latent-variable models of images: VAEs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keras_dl.metrics import active_units, binarized, importance_sampled_nll, kl_per_unit
from keras_dl.recipes.recipe import Evaluation, Splits, Task
from keras_dl.recipes.tasks.image_quality import images_of, quality
from keras_dl.reports import figures

_PAIRS = 20  # reconstructions in the picture
_LATENTS = 8  # the largest number of traversed latents
_TRAVERSED = np.linspace(-2.5, 2.5, 11)


def latent_images(nll_samples: int | None = None, nll_images: int | None = None) -> Task:
    """Return the task of training a latent-variable model of images.

    The test metrics are the bound on log p(x) and its terms, the number of active units, for MNIST the
    quality of samples, and, if `nll_samples` is given, the importance-sampled -log p(x). If the model
    binarizes its images, those of the test split are binarized once, with seed 0.

    Args:
        nll_samples: K, draws from the posterior per image.
        nll_images: the number of test images for this estimate; all by default.
    """

    def evaluate(model: Any, splits: Splits) -> Evaluation:
        figures = {
            f"test_{name}": float(value)
            for name, value in model.evaluate(splits.test, verbose=0, return_dict=True).items()
        }
        images = images_of(splits.test)
        if getattr(model, "dynamic_binarization", False):
            images = binarized(images, seed=0)
        if nll_samples is not None:
            nll = importance_sampled_nll(model, images[:nll_images], nll_samples)
            figures |= {"test_nll": float(nll.mean()), "nll_samples": nll_samples, "nll_images": len(nll)}
        mean, log_variance = _posteriors(model, images)
        figures["active_units"] = int(active_units(mean).sum())
        judged = quality(lambda count, seed: model.sample(count, seed=seed), splits)
        if judged is not None:
            figures |= judged.figures()
        return Evaluation(figures, arrays={"kl_per_unit": kl_per_unit(mean, log_variance)})

    return Task(labels=False, compile={}, evaluate=evaluate, draw=_draw_samples, pictures=_pictures)


def _posteriors(model: Any, images: Any) -> tuple[Any, Any]:
    """Return mean and log variance of q(z | x), (N, Z) each."""
    parts = [model.encode(images[start : start + 500]) for start in range(0, len(images), 500)]
    mean, log_variance = (np.concatenate([np.asarray(part[i]) for part in parts]) for i in (0, 1))
    return mean, log_variance


def _pictures(splits: Splits) -> dict[str, Callable[[Any], Figure]]:
    """Return the pictures: samples, and reconstructions and latents of validation images."""
    images = images_of(splits.validation, _PAIRS)
    return {
        "samples": lambda model: _draw_samples(model, 64, 0),
        "reconstructions": lambda model: figures.reconstructions(
            images, np.asarray(model.reconstruct(images)), title="Unseen images and their reconstructions"
        ),
        "latent-traversal": lambda model: _draw_latent_traversal(model, images),
    }


def _draw_samples(model: Any, count: int, seed: int) -> Figure:
    return figures.image_grid(np.asarray(model.sample(count, seed=seed)), title=f"{count} samples")


def _draw_latent_traversal(model: Any, images: Any) -> Figure:
    """Draw traversals of the most active latents over the range of the prior, with the others at 0."""
    mean = np.asarray(model.encode(images)[0])
    latents = np.sort(np.argsort(-mean.var(axis=0), kind="stable")[:_LATENTS])
    z = np.zeros((len(latents), len(_TRAVERSED), mean.shape[1]), np.float32)
    for row, latent in enumerate(latents):
        z[row, :, latent] = _TRAVERSED
    decoded = np.asarray(model.decode(z.reshape(-1, mean.shape[1])))
    return figures.latent_traversal(
        decoded.reshape(len(latents), len(_TRAVERSED), *decoded.shape[1:]),
        _TRAVERSED.tolist(),
        latents=latents.tolist(),
        title="The effect of each latent",
    )


LATENT_IMAGES = latent_images()
