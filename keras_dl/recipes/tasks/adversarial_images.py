"""Adversarial training of image generators: GANs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keras_dl.metrics import lenet_outputs
from keras_dl.recipes.recipe import Evaluation, Splits, Task
from keras_dl.recipes.tasks.image_quality import generate_many, quality
from keras_dl.reports import figures

_LINES, _STEPS = 6, 9  # of the interpolation picture


def _evaluate(model: Any, splits: Splits) -> Evaluation:
    """Evaluate the losses of both players on test images, and for MNIST the quality of samples."""
    losses = model.evaluate(splits.test, verbose=0, return_dict=True)
    figures = {f"test_{name}": float(value) for name, value in losses.items()}
    judged = quality(lambda count, seed: model.generate(count, seed=seed), splits)
    if judged is not None:
        figures |= judged.figures()
        figures["fld_over_floor"] = judged.fld.value / judged.fld.floor
        if hasattr(model, "num_classes"):
            figures["class_agreement"] = _class_agreement(model)
        return Evaluation(figures, arrays={"class_shares": judged.classes.shares})
    return Evaluation(figures)


def _class_agreement(model: Any, count: int = 10_000) -> float:
    """Return the fraction of generated images whose class a classifier confirms."""
    images = generate_many(lambda size, seed: model.generate(size, seed=1_000_000 + seed), count)
    # `generate` cycles through the classes, and each of its calls completes a whole number of cycles.
    requested = np.arange(count) % model.num_classes
    return float(np.mean(lenet_outputs(images).classes == requested))


def _pictures(splits: Splits) -> dict[str, Callable[[Any], Figure]]:
    return {"samples": lambda model: _draw_samples(model, 64, 0), "interpolation": _draw_interpolation}


def _draw_samples(model: Any, count: int, seed: int) -> Figure:
    columns = getattr(model, "num_classes", None)  # one per class, as `generate` cycles through the classes
    images = np.asarray(model.generate(count, seed=seed))
    return figures.image_grid(images, columns=columns, title=f"{count} samples")


def _draw_interpolation(model: Any) -> Figure:
    """Draw interpolations between pairs of latents, from left to right."""
    z = np.asarray(model.sample_prior(2 * _LINES, seed=1))
    images = np.asarray(model.interpolate(z[:_LINES], z[_LINES:], _STEPS))
    return figures.image_grid(
        images.reshape(-1, *images.shape[2:]), columns=_STEPS, title="From one latent to another"
    )


ADVERSARIAL = Task(labels=False, compile={}, evaluate=_evaluate, draw=_draw_samples, pictures=_pictures)
CONDITIONAL_ADVERSARIAL = Task(
    labels=True, compile={}, evaluate=_evaluate, draw=_draw_samples, pictures=_pictures
)
