"""Training runs as values: one file per run, found by name.

    >>> get_recipe("vae-digits").configured(settings={"latent_dim": 8})

A recipe defines data, model, optimizer and goals; `keras_dl.training.train` runs it.
"""

# ruff: noqa: E402 - Keras selects its backend on import
from __future__ import annotations

from keras_dl_export.backend import require_tensorflow_backend

require_tensorflow_backend()

from keras_dl.optimizers import adam
from keras_dl.recipes.recipe import Evaluation, Goal, Recipe, Splits, Task
from keras_dl.recipes.registry import get_recipe, list_recipes, register
from keras_dl.recipes.tasks import (
    ADVERSARIAL,
    CLASSIFICATION,
    CONDITIONAL_ADVERSARIAL,
    LATENT_IMAGES,
    NEXT_CHARACTER,
    REGRESSION,
    latent_images,
)

__all__ = [
    "ADVERSARIAL",
    "CLASSIFICATION",
    "CONDITIONAL_ADVERSARIAL",
    "LATENT_IMAGES",
    "NEXT_CHARACTER",
    "REGRESSION",
    "Evaluation",
    "Goal",
    "Recipe",
    "Splits",
    "Task",
    "adam",
    "get_recipe",
    "latent_images",
    "list_recipes",
    "register",
]
