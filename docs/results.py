"""Write docs/results.md from the records in docs/results.

    python docs/results.py [RUN ...]

Each RUN is the folder of a finished run of an unchanged recipe; its `metrics.json` becomes the record
`docs/results/<recipe>-seed<seed>.json`. Then the page is regenerated from all records.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_dl.reports.tables import format_figure
from keras_dl_export.files import replacing

DOCS = Path(__file__).parent

PUBLISHED = {
    "adding-gru": "MSE 5.3e-5; LSTM 0.164, RNN 0.177 (Bai et al. 2018)",
    "adding-rnn": "MSE 0.177 (Bai et al. 2018)",
    "char-gru": "1.548 nats (minGRU)",
    "char-lstm": "1.88 nats (nanoGPT, on CPU)",
    "cnn-mnist": "accuracy 0.992-0.994 (CNNs in Zalando's table)",
    "gru-rows-mnist": "accuracy 0.98-0.99",
    "iwae-mnist": "NLL 85.54 nats with k = 5, 84.78 with k = 50 (Burda et al. 2016)",
    "lstm-rows-mnist": "accuracy 0.98-0.99",
    "vae-mnist": "NLL 86.76 nats (Burda et al. 2016)",
}
HEADER = """\
# Test metrics of the recipes

Each row is one run of a recipe, trained on the training split and evaluated on the test split. Metrics with a
target are listed first, in bold. Minutes are the duration of the epochs, on a machine with 2 CPU cores and no
GPU that was also running other programs. `keras-dl train RECIPE --seed SEED` repeats a row.

This page is generated from the records in `docs/results`, which are the `metrics.json` of the runs.
`python docs/results.py RUN ...` adds the records of these run folders and regenerates the page.
"""
COLUMNS = ("recipe", "seed", "test metrics", "published", "epochs", "minutes", "parameters")


def add_record(run: Path, folder: Path) -> Path:
    """Copy a run's `metrics.json` to the records.

    Args:
        run: the folder of a finished run.
        folder: the folder of the records.

    Returns:
        The record's path. An earlier record of that recipe and seed is replaced.

    Raises:
        ValueError: the run is not finished, or its recipe was changed, so that recipe name and seed would not
            repeat it.
    """
    from keras_dl.recipes import get_recipe
    from keras_dl.training.records import recipe_record

    if not (run / "metrics.json").exists():
        raise ValueError(
            f"run: expected the folder of a finished run, but {run} has no metrics.json. Train it first."
        )
    asked = _read(run / "recipe.json")
    name, seed = asked["name"], asked["seed"]
    recipe = json.loads(json.dumps(recipe_record(get_recipe(name).configured(seed=seed))))
    for field, value in recipe.items():
        if field != "summary" and asked.get(field, value) != value:
            raise ValueError(
                f"run: expected an unchanged {name}, with {field} {value!r}, got {asked[field]!r} in {run}. "
                f"Train it with `keras-dl train {name} --seed {seed}`."
            )
    path = folder / f"{name}-seed{seed}.json"
    with replacing(path) as draft:
        shutil.copyfile(run / "metrics.json", draft)
    return path


def page(records: Iterable[Mapping[str, Any]]) -> str:
    """Return the page in Markdown."""
    records = sorted(records, key=lambda each: (each["recipe"], each["seed"]))
    lines = [COLUMNS, ["---"] * len(COLUMNS), *map(_row, records)]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{HEADER}\n{table}\n{_versions(records)}"


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Return all records of a folder."""
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def _row(record: Mapping[str, Any]) -> list[str]:
    figures = dict(record["figures"])
    goals = [_goal(goal, figures.pop(goal["figure"])) for goal in record["goals"]]
    others = [f"{name} {format_figure(value)}" for name, value in figures.items()]
    return [
        f"`{record['recipe']}`",
        str(record["seed"]),
        "<br>".join([*goals, *others]),
        PUBLISHED.get(record["recipe"], "-"),
        str(record["epochs"]),
        f"{record['minutes']:.1f}",
        f"{record['parameters']:,}",
    ]


def _versions(records: Iterable[Mapping[str, Any]]) -> str:
    """Return the package versions of the runs, one line for each set of versions."""
    runs: dict[str, list[str]] = {}
    for record in records:
        listed = ", ".join(f"{package} {number}" for package, number in record["versions"].items())
        runs.setdefault(listed, []).append(record["recipe"])
    if len(runs) == 1:
        return f"Made with {next(iter(runs))}.\n"
    return "".join(
        f"{', '.join(dict.fromkeys(names))}: made with {listed}.\n\n" for listed, names in runs.items()
    )


def _goal(goal: Mapping[str, Any], value: float) -> str:
    bound = f"at least {goal['at_least']:g}" if "at_least" in goal else f"at most {goal['at_most']:g}"
    return f"**{goal['figure']} {value:.4g}** ({bound}: {'reached' if goal['reached'] else 'NOT reached'})"


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main() -> None:
    """Add the runs on the command line and write the page."""
    for run in sys.argv[1:]:
        sys.stdout.write(f"{add_record(Path(run), DOCS / 'results')}\n")
    with replacing(DOCS / "results.md") as draft:
        draft.write_text(page(read_records(DOCS / "results")), encoding="utf-8")


if __name__ == "__main__":
    main()
