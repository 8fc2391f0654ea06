"""Training runs as values: one file a run, found by name.

    >>> get_recipe("vae-digits").configured(settings={"latent_dim": 8})

A recipe names data, model, optimizer and the figures to reach; `keras_dl.training.train` runs it.
"""

# ruff: noqa: E402 - Keras chooses its backend when it is imported
from __future__ import annotations

from keras_dl_export.backend import require_tensorflow_backend

require_tensorflow_backend()

from keras_dl.recipes.optimizers import adam
from keras_dl.recipes.recipe import Evaluation, Goal, Recipe, Splits, Task
from keras_dl.recipes.registry import get_recipe, list_recipes, register
from keras_dl.recipes.tasks import CLASSIFICATION, LATENT_IMAGES

__all__ = [
    "CLASSIFICATION",
    "LATENT_IMAGES",
    "Evaluation",
    "Goal",
    "Recipe",
    "Splits",
    "Task",
    "adam",
    "get_recipe",
    "list_recipes",
    "register",
]
