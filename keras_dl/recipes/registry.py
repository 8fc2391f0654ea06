"""Recipes by name: built-in, registered, and from entry points of other packages."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

from keras_dl.recipes.recipe import Recipe
from keras_dl_export.arguments import did_you_mean

# Each is the `recipe` of the module of its name, imported on first use.
_BUILT_IN = (
    "adding-gru",
    "adding-rnn",
    "cgan-mnist",
    "char-gru",
    "char-lstm",
    "char-rnn",
    "cnn-digits",
    "cnn-mnist",
    "dcgan-mnist",
    "gru-rows-mnist",
    "iwae-mnist",
    "lstm-rows-mnist",
    "mlp-digits",
    "vae-digits",
    "vae-mnist",
)
_GROUP = "keras_dl.recipes"  # entry points: name = "package.module:recipe"
_registered: dict[str, Recipe] = {}


def register(recipe: Recipe) -> Recipe:
    """Register a recipe for `get_recipe` and the command line in this process.

    A package registers its recipes for all processes with an entry point instead:

        [project.entry-points."keras_dl.recipes"]
        cnn-photos = "my_package.recipes:cnn_photos"

    Raises:
        ValueError: another recipe has this name.
    """
    if recipe.name in list_recipes() and _registered.get(recipe.name) != recipe:
        raise ValueError(
            f"recipe: expected an unused name, got {recipe.name!r}. Pass a name that `keras-dl recipes` does "
            "not list."
        )
    _registered[recipe.name] = recipe
    return recipe


def list_recipes() -> list[str]:
    """Return the names of all recipes, sorted."""
    return sorted({*_BUILT_IN, *_registered, *entry_points(group=_GROUP).names})


def get_recipe(name: str) -> Recipe:
    """Return the recipe of that name.

    Raises:
        LookupError: there is no such recipe.
        TypeError: the entry point of that name is not a `Recipe`.
    """
    if name in _registered:
        return _registered[name]
    if name in _BUILT_IN:
        module = importlib.import_module(f"keras_dl.recipes.{name.replace('-', '_')}")
        return _checked(name, module.recipe)
    for entry_point in entry_points(group=_GROUP, name=name):
        return _checked(name, entry_point.load())
    known = list_recipes()
    raise LookupError(
        f"recipe: there is no recipe {name!r}.{did_you_mean(name, known)} All recipes: {', '.join(known)}."
    )


def _checked(name: str, recipe: object) -> Recipe:
    if not isinstance(recipe, Recipe) or recipe.name != name:
        raise TypeError(
            f"recipe: expected a keras_dl.recipes.Recipe named {name!r} at the entry point {name!r} of the "
            f"group {_GROUP!r}, got {recipe!r}. Correct it in the package that declares it."
        )
    return recipe
