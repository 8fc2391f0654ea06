"""The kinds of training: what each reports of the test split, and the pictures it draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keras_dl import plots
from keras_dl.recipes.recipe import Evaluation, Splits, Task

_PAIRS = 20  # reconstructions shown
_LATENTS = 8  # latents traversed at most
_TRAVERSED = np.linspace(-2.5, 2.5, 11)


def _evaluate_classes(model: Any, splits: Splits) -> Evaluation:
    """Accuracy, cross-entropy in nats, and which class is taken for which."""
    names = splits.description.class_names
    assert names is not None  # a recipe whose model takes num_classes has checked it
    labels = np.concatenate([label for _, label in splits.test.as_numpy_iterator()])
    probabilities = model.predict(splits.test.map(lambda features, _: features), verbose=0)
    predictions = probabilities.argmax(axis=-1)
    likelihood = probabilities[np.arange(len(labels)), labels]
    matrix = np.zeros((len(names), len(names)), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    accuracy = float(np.mean(predictions == labels))
    title = f"{len(labels):,} test examples, {accuracy:.2%} right"
    return Evaluation(
        figures={
            "test_accuracy": accuracy,
            "test_loss": float(-np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean()),
        },
        arrays={"confusion_matrix": matrix, "class_names": np.array(names)},
        pictures={"confusion-matrix": plots.confusion_matrix(matrix, names, title=title)},
    )


def _evaluate_latent_images(model: Any, splits: Splits) -> Evaluation:
    """The bound on log p(x) and its terms, in nats an image."""
    figures = model.evaluate(splits.test, verbose=0, return_dict=True)
    return Evaluation(figures={f"test_{name}": float(value) for name, value in figures.items()})


def _latent_image_pictures(splits: Splits) -> dict[str, Callable[[Any], Figure]]:
    """Samples, reconstructions and latents, of images that training does not see."""
    images = next(splits.validation.unbatch().batch(_PAIRS).as_numpy_iterator())
    return {
        "samples": lambda model: _draw_samples(model, 64, 0),
        "reconstructions": lambda model: plots.reconstructions(
            images, np.asarray(model.reconstruct(images)), title="Unseen images and their reconstructions"
        ),
        "latent-traversal": lambda model: _draw_latent_traversal(model, images),
    }


def _draw_samples(model: Any, count: int, seed: int) -> Figure:
    return plots.image_grid(np.asarray(model.sample(count, seed=seed)), title=f"{count} samples")


def _draw_latent_traversal(model: Any, images: Any) -> Figure:
    """The latents that vary most over the images, each moved along the prior's range, the others at 0."""
    mean = np.asarray(model.encode(images)[0])
    latents = np.sort(np.argsort(-mean.var(axis=0), kind="stable")[:_LATENTS])
    z = np.zeros((len(latents), len(_TRAVERSED), mean.shape[1]), np.float32)
    for row, latent in enumerate(latents):
        z[row, :, latent] = _TRAVERSED
    decoded = np.asarray(model.decode(z.reshape(-1, mean.shape[1])))
    return plots.latent_traversal(
        decoded.reshape(len(latents), len(_TRAVERSED), *decoded.shape[1:]),
        _TRAVERSED.tolist(),
        latents=latents.tolist(),
        title="What each latent does",
    )


CLASSIFICATION = Task(
    labels=True,
    compile={"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    evaluate=_evaluate_classes,
)

LATENT_IMAGES = Task(
    labels=False,
    compile={},
    evaluate=_evaluate_latent_images,
    draw=_draw_samples,
    pictures=_latent_image_pictures,
)
