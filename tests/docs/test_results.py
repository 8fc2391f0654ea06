"""The page docs/results.md matches the records, and the records are of runs that can be repeated."""

import importlib.util
import json
from pathlib import Path

import pytest

from keras_dl.recipes import get_recipe, list_recipes
from keras_dl.training.records import recipe_record, write_json

DOCS = Path(__file__).parents[2] / "docs"
RECORDS = sorted((DOCS / "results").glob("*.json"))
METRICS = {
    "recipe": "cnn-mnist",
    "figures": {"test_loss": 0.25, "test_accuracy": 0.9876},
    "goals": [{"figure": "test_accuracy", "at_least": 0.99, "reached": False}],
    "seed": 3,
    "epochs": 5,
    "minutes": 1.23,
    "parameters": 61994,
    "versions": {"keras": "3.15.1", "python": "3.11.7"},
}


@pytest.fixture(scope="module")
def results():
    spec = importlib.util.spec_from_file_location("results", DOCS / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path):
    """Return a run folder with the files that a record needs."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "recipe.json", recipe_record(get_recipe("cnn-mnist").configured(seed=3)))
    write_json(folder / "metrics.json", METRICS)
    return folder


def test_the_page_matches_the_records(results):
    assert RECORDS
    page = results.page(results.read_records(DOCS / "results"))
    assert page == (DOCS / "results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_each_record_has_a_name_of_its_own_and_evaluates_its_goals(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert path.stem == f"{record['recipe']}-seed{record['seed']}"
    for goal in record["goals"]:
        value = record["figures"][goal["figure"]]
        within = value >= goal["at_least"] if "at_least" in goal else value <= goal["at_most"]
        assert goal["reached"] == within


def test_published_metrics_belong_to_recipes(results):
    assert set(results.PUBLISHED) <= set(list_recipes())


def test_a_row_names_the_goal_and_the_outcome(results):
    first, second = METRICS | {"seed": 10}, METRICS
    *_, one, other, empty, versions = results.page([first, second]).splitlines()
    assert one == (
        "| `cnn-mnist` | 3 | **test_accuracy 0.9876** (at least 0.99: NOT reached)<br>test_loss 0.25 | "
        f"{results.PUBLISHED['cnn-mnist']} | 5 | 1.2 | 61,994 |"
    )
    assert other.startswith("| `cnn-mnist` | 10 |"), "seeds in the order of their numbers"
    assert (empty, versions) == ("", "Made with keras 3.15.1, python 3.11.7.")


def test_runs_of_different_versions_are_distinguished(results):
    newer = METRICS | {"recipe": "mlp-digits", "versions": {"keras": "3.16.0"}}
    page = results.page([METRICS, METRICS | {"seed": 4}, newer])
    assert "cnn-mnist: made with keras 3.15.1, python 3.11.7.\n" in page
    assert "mlp-digits: made with keras 3.16.0.\n" in page


def test_a_run_becomes_a_record(results, run, tmp_path):
    path = results.add_record(run, tmp_path)
    assert path == tmp_path / "cnn-mnist-seed3.json"
    assert path.read_bytes() == (run / "metrics.json").read_bytes()


@pytest.mark.parametrize(
    ("field", "value"), [("epochs", 1), ("data", "digits"), ("settings", {"learning_rate": 0.5})]
)
def test_a_run_of_a_changed_recipe_is_rejected(results, run, tmp_path, field, value):
    write_json(run / "recipe.json", json.loads((run / "recipe.json").read_text()) | {field: value})
    with pytest.raises(ValueError, match=f"^run: expected an unchanged cnn-mnist, with {field} .*--seed 3`"):
        results.add_record(run, tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_an_unfinished_run_is_rejected(results, run, tmp_path):
    (run / "metrics.json").unlink()
    with pytest.raises(ValueError, match="^run: expected the folder of a finished run, but .*Train it"):
        results.add_record(run, tmp_path)
