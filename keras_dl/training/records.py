"""recipe.json and metrics.json: what was asked for, and what came of it."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from keras_dl.atomic import replacing
from keras_dl.recipes import Evaluation, Recipe, get_recipe
from keras_dl.recipes.recipe import ARRAYS, source_name


def described(recipe: Recipe) -> dict[str, Any]:
    """What recipe.json holds: all that `Recipe.configured` can change."""
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "data": source_name(recipe.data),
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "seed": recipe.seed,
        "precision": recipe.precision,
        "settings": recipe.given_settings(),
    }


def recorded(folder: Path) -> Recipe:
    """The recipe of a run folder, as it was run."""
    record = _read(folder)
    recipe = get_recipe(record["name"])
    return recipe.configured(**_changes(record, recipe))


def resumed(recipe: Recipe, folder: Path, changes: Mapping[str, Any]) -> Recipe:
    """The recipe of the run to go on with. `changes` may repeat what it was started with, but not change it.

    Raises:
        ValueError: they do change it, or it is a run of another recipe.
    """
    record = _read(folder)
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
    wanted = _plain(described(recipe.configured(**changes)))
    for name, value in wanted.items():
        if value != record[name]:
            raise ValueError(
                f"{name}: the run in {folder} was started with {record[name]!r} and cannot be resumed with "
                f"{value!r}. Leave the argument out, or train anew in another folder."
            )
    return recipe


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


def _read(folder: Path) -> dict[str, Any]:
    return _plain_object((folder / "recipe.json").read_text(encoding="utf-8"))


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON brings it back: tuples are lists."""
    return _plain_object(json.dumps(record))


def _plain_object(text: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(text)
    return record


def _changes(record: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The arguments of `Recipe.configured` that make `recipe` what the record says."""
    changes = {name: value for name, value in record.items() if name not in ("name", "summary")}
    if callable(recipe.data) and changes["data"] == source_name(recipe.data):
        changes["data"] = None  # the recipe's own function, which its name cannot bring back
    return changes
