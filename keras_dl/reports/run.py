"""The report of a training run, based on its run folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_dl.reports.html import Picture, Section, Table, write_report
from keras_dl.reports.tables import figures_table, format_figure

_OF_ONE_EPOCH = re.compile(r"(?P<name>.+)-(?P<epoch>\d{4})")  # samples-0005.png


def write_run_report(folder: Path, recipe: Mapping[str, Any], measured: Mapping[str, Any]) -> Path:
    """Write `report.html` into a run folder.

    Args:
        folder: the run folder, with its pictures.
        recipe: the content of its recipe.json.
        measured: the content of its metrics.json.

    Returns:
        The path of the report.
    """
    goals = [
        (
            goal["figure"],
            f"at least {goal['at_least']}" if "at_least" in goal else f"at most {goal['at_most']}",
            format_figure(measured["figures"][goal["figure"]]),
            "yes" if goal["reached"] else "no",
        )
        for goal in measured["goals"]
    ]
    settings = {
        **{name: recipe[name] for name in ("data", "batch_size", "seed", "precision")},
        **{name: measured[name] for name in ("epochs", "minutes", "parameters")},
        **recipe["settings"],
    }
    outcome = [figures_table(measured["figures"], "On the test split")]
    if goals:
        outcome.append(Table(("metric", "goal", "measured", "reached"), goals))
    earlier = [
        Section(f"{name.replace('-', ' ').capitalize()} during training", pictures=pictures)
        for name, pictures in _pictures_of_epochs(folder).items()
    ]
    return write_report(
        folder / "report.html",
        title=recipe["name"],
        summary=recipe["summary"],
        figures={name: format_figure(value) for name, value in list(measured["figures"].items())[:4]},
        sections=[
            Section("Result", tables=outcome, pictures=final_pictures(folder)),
            *earlier,
            Section("Settings", tables=[figures_table(settings)]),
        ],
    )


def final_pictures(folder: Path) -> list[Picture]:
    """Return the pictures of the finished model of a run."""
    paths = sorted((folder / "samples").glob("*.png"))
    return [
        Picture(path, path.stem.replace("-", " ").capitalize())
        for path in paths
        if not _OF_ONE_EPOCH.fullmatch(path.stem) and not path.stem.startswith("drawn")
    ]


def _pictures_of_epochs(folder: Path) -> dict[str, list[Picture]]:
    found: dict[str, list[Picture]] = {}
    for path in sorted((folder / "samples").glob("*.png")):
        if match := _OF_ONE_EPOCH.fullmatch(path.stem):
            found.setdefault(match["name"], []).append(Picture(path, f"After epoch {int(match['epoch'])}"))
    return found
