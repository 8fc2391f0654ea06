"""Records of a run: recipe.json, its configuration, and metrics.json, its result."""

from __future__ import annotations

import json
import math
import platform
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from keras_dl.recipes import Evaluation, Recipe, get_recipe
from keras_dl.recipes.recipe import ARRAYS, source_name
from keras_dl_export.files import replacing


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """Return the content of recipe.json: everything that `Recipe.configured` can change."""
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "model": _qualified_name(recipe.model),
        "data": source_name(recipe.data),
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "seed": recipe.seed,
        "precision": recipe.precision,
        "settings": recipe.given_settings(),
    }


class MissingRecipe:
    """The record of a recipe that is not registered in this process.

    Attributes:
        name: name of the recipe.
        epochs: passes over the training split.
    """

    def __init__(self, folder: Path, record: Mapping[str, Any]) -> None:
        self.name, self.epochs = str(record["name"]), int(record["epochs"])
        self._reason = (
            f"recipe: the run in {folder} was trained with the recipe {self.name!r} of the model "
            f"{record.get('model', 'unknown')}, which is not registered. Call "
            "keras_dl.recipes.register(recipe) before load_run."
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise LookupError(self._reason)


def read_recipe(folder: Path) -> Any:
    """Return the recipe of a run folder as it was run, or a `MissingRecipe` if it is not registered."""
    record = read_recipe_record(folder)
    with suppress(LookupError):
        recipe = get_recipe(record["name"])
        if record.get("model", _qualified_name(recipe.model)) == _qualified_name(recipe.model):
            return recipe.configured(**_changes(record, recipe))
    return MissingRecipe(folder, record)


def as_read_back(recipe: Recipe, folder: Path) -> Recipe:
    """Return the recipe of a run as `read_recipe` does, with settings in lists, if it is registered."""
    again = read_recipe(folder)
    code = ("name", "summary", "model", "task", "optimizer", "goals")
    if isinstance(again, Recipe) and all(getattr(again, name) == getattr(recipe, name) for name in code):
        return again
    return recipe


def resumed(recipe: Recipe, folder: Path, changes: Mapping[str, Any], done: int) -> Recipe:
    """Return the recipe of the run to resume, with the number of epochs in `changes`.

    All other arguments in `changes` must be equal to those of the run.

    Args:
        recipe: the recipe.
        folder: the run folder.
        changes: arguments of `Recipe.configured`.
        done: the number of epochs that the run has completed.

    Raises:
        ValueError: an argument differs, the run is of another recipe, or it has completed more epochs.
    """
    record = read_recipe_record(folder)
    if record["name"] != recipe.name:
        raise ValueError(
            f"recipe: {folder} is a run of {record['name']!r} and cannot be resumed as {recipe.name!r}. "
            "Resume it with its own recipe, or pass another folder."
        )
    started = _changes(record, recipe)
    if changes["data"] is None and started["data"] == ARRAYS:
        raise ValueError(
            f"data: the run in {folder} was started on arrays, which are not saved. "
            "Pass the same arrays as data."
        )
    if changes["data"] is not None and source_name(changes["data"]) == ARRAYS == started["data"]:
        started["data"] = changes["data"]
    recipe = recipe.configured(**started)
    requested = recipe.configured(**changes)
    for name, value in _plain(recipe_record(requested)).items():
        if name not in ("epochs", "summary") and value != record.get(name, value):
            raise ValueError(
                f"{name}: the run in {folder} was started with {record[name]!r} and cannot be resumed with "
                f"{value!r}. Omit the argument, or train in another folder."
            )
    if requested.epochs < done:
        raise ValueError(
            f"epochs: expected at least {done}, which the run in {folder} has completed, got "
            f"{requested.epochs}. Pass the total number of epochs of the run, or train in another folder."
        )
    return recipe.configured(epochs=requested.epochs)


def measured(
    recipe: Recipe, model: Any, outcome: Evaluation, history: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """Return the content of metrics.json."""
    goals = [
        {
            "figure": goal.figure,
            **({"at_least": goal.at_least} if goal.at_least is not None else {"at_most": goal.at_most}),
            "reached": goal.reached(outcome.figures),
        }
        for goal in recipe.goals
    ]
    packages = {name: version(name) for name in ("keras-dl", "keras", "tensorflow", "numpy")}
    return {
        "recipe": recipe.name,
        "figures": dict(outcome.figures),
        "goals": goals,
        "data": source_name(recipe.data),
        "seed": recipe.seed,
        "epochs": len(history["seconds"]),
        "minutes": round(sum(history["seconds"]) / 60, 3),
        "parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
        "precision": recipe.precision,
        "versions": {**packages, "python": platform.python_version()},
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_recipe_record(folder: Path) -> dict[str, Any]:
    """Return the content of recipe.json.

    Raises:
        ValueError: the file is damaged.
    """
    record = read_json(folder / "recipe.json")
    return {**record, "model": _public_name(str(record["model"]))} if "model" in record else record


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file of a run folder.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return _plain_object(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"folder: {path} is damaged ({error}). Restore it from a copy, or train in another folder."
        ) from None


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record as read from JSON, with lists instead of tuples."""
    return _plain_object(json.dumps(record))


def _plain_object(text: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(text)
    return record


def _qualified_name(model: Any) -> str:
    if not hasattr(model, "__qualname__"):
        return repr(type(model))
    return _public_name(f"{model.__module__}.{model.__qualname__}")


def _public_name(name: str) -> str:
    """Return the name of a model in `keras_dl.models`, independent of the module of its class."""
    return re.sub(r"^keras_dl\.models\.([a-z_]+\.)*", "keras_dl.models.", name)


def _changes(record: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return the arguments of `Recipe.configured` that reproduce the record."""
    changes = {name: value for name, value in record.items() if name not in ("name", "summary", "model")}
    if callable(recipe.data) and changes["data"] == source_name(recipe.data):
        changes["data"] = None  # the function of the recipe, which cannot be found by its name
    return changes
