"""recipe.json and metrics.json: what was asked for, and what came of it."""

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
    """What recipe.json holds: all that `Recipe.configured` can change."""
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
    """What recipe.json says of a recipe whose code is not known here.

    Attributes:
        name: the recipe's name.
        epochs: passes over the training split.
    """

    def __init__(self, folder: Path, record: Mapping[str, Any]) -> None:
        self.name, self.epochs = str(record["name"]), int(record["epochs"])
        self._reason = (
            f"recipe: the run in {folder} was trained by the recipe {self.name!r} of the model "
            f"{record.get('model', 'unknown')}, which is not among the recipes here. Call "
            "keras_dl.recipes.register(recipe) before load_run."
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise LookupError(self._reason)


def read_recipe(folder: Path) -> Any:
    """The recipe of a run folder, as it was run; a `MissingRecipe` where its code is not known here."""
    record = read_recipe_record(folder)
    with suppress(LookupError):
        recipe = get_recipe(record["name"])
        if record.get("model", _qualified_name(recipe.model)) == _qualified_name(recipe.model):
            return recipe.configured(**_changes(record, recipe))
    return MissingRecipe(folder, record)


def as_read_back(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe of a run as `read_recipe` gives it, settings in lists, if its code is known here."""
    again = read_recipe(folder)
    code = ("name", "summary", "model", "task", "optimizer", "goals")
    if isinstance(again, Recipe) and all(getattr(again, name) == getattr(recipe, name) for name in code):
        return again
    return recipe


def resumed(recipe: Recipe, folder: Path, changes: Mapping[str, Any], done: int) -> Recipe:
    """The recipe of the run to go on with, to as many epochs as `changes` ask for.

    Whatever else `changes` hold may repeat what the run was started with, but not change it.

    Args:
        recipe: the recipe.
        folder: the run folder.
        changes: arguments of `Recipe.configured`.
        done: the epochs that the run has done.

    Raises:
        ValueError: they do change it, it is a run of another recipe, or has done more epochs.
    """
    record = read_recipe_record(folder)
    if record["name"] != recipe.name:
        raise ValueError(
            f"recipe: {folder} is a run of {record['name']!r} and cannot be resumed as {recipe.name!r}. "
            "Resume it under its own name, or choose another folder."
        )
    started = _changes(record, recipe)
    if changes["data"] is None and started["data"] == ARRAYS:
        raise ValueError(
            f"data: the run in {folder} was started on arrays, which it does not keep. "
            "Pass the same arrays as data."
        )
    if changes["data"] is not None and source_name(changes["data"]) == ARRAYS == started["data"]:
        started["data"] = changes["data"]
    recipe = recipe.configured(**started)
    wanted = recipe.configured(**changes)
    for name, value in _plain(recipe_record(wanted)).items():
        if name != "epochs" and value != record.get(name, value):
            raise ValueError(
                f"{name}: the run in {folder} was started with {record[name]!r} and cannot be resumed with "
                f"{value!r}. Leave the argument out, or train anew in another folder."
            )
    if wanted.epochs < done:
        raise ValueError(
            f"epochs: expected at least {done}, which the run in {folder} has done, got {wanted.epochs}. "
            "Pass as many epochs as the run shall have altogether, or train anew in another folder."
        )
    return recipe.configured(epochs=wanted.epochs)


def measured(
    recipe: Recipe, model: Any, outcome: Evaluation, history: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """What metrics.json holds."""
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
    """Write a JSON file in one step."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_recipe_record(folder: Path) -> dict[str, Any]:
    """What recipe.json says.

    Raises:
        ValueError: it is damaged.
    """
    record = read_json(folder / "recipe.json")
    return {**record, "model": _public_name(str(record["model"]))} if "model" in record else record


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a run folder.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return _plain_object(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"folder: {path} is damaged ({error}). Restore it from a copy, or train anew in another folder."
        ) from None


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON brings it back: tuples are lists."""
    return _plain_object(json.dumps(record))


def _plain_object(text: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(text)
    return record


def _qualified_name(model: Any) -> str:
    if not hasattr(model, "__qualname__"):
        return repr(type(model))
    return _public_name(f"{model.__module__}.{model.__qualname__}")


def _public_name(name: str) -> str:
    """Return a model's name in `keras_dl.models`: runs outlive the file that its class is written in."""
    return re.sub(r"^keras_dl\.models\.([a-z_]+\.)*", "keras_dl.models.", name)


def _changes(record: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The arguments of `Recipe.configured` that make `recipe` what the record says."""
    changes = {name: value for name, value in record.items() if name not in ("name", "summary", "model")}
    if callable(recipe.data) and changes["data"] == source_name(recipe.data):
        changes["data"] = None  # the recipe's own function, which its name cannot bring back
    return changes
