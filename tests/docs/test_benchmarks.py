"""The page of benchmarks matches their records."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
ROW = {
    "name": "vae: PyTorch",
    "ours": 0.0305,
    "peer": 1.25,
    "ratio": 0.0244,
    "quartiles": [0.02, 0.031],
    "rounds": 5,
    "at_most": 0.75,
}


@pytest.fixture(scope="module")
def benchmarks():
    spec = importlib.util.spec_from_file_location("benchmarks_page", DOCS / "benchmarks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_row_shows_whether_its_bound_holds(benchmarks):
    rows = [ROW, ROW | {"ratio": 0.76}, ROW | {"at_most": None}]
    page = benchmarks.page({"training": {"environment": {"cores": 2, "torch": "2.13.0"}, "rows": rows}})
    kept, broken, free = page.splitlines()[-3:]
    assert kept == "| vae: PyTorch | 30.5 ms | 1.2 s | **0.02** | 0.02-0.03 | at most 0.75: kept |"
    assert broken.endswith("| **0.76** | 0.02-0.03 | at most 0.75: NOT kept |")
    assert free.endswith("| 0.02 | 0.02-0.03 | - |")
    assert "docs/benchmarks/training.json` on: cores 2, torch 2.13.0." in page


def test_values_other_than_times_have_a_unit(benchmarks):
    size = ROW | {"ours": 25.0, "peer": 100.0, "ratio": 0.25, "at_most": 0.3, "rounds": 1, "unit": "KB"}
    lost = size | {"unit": "%", "by": "difference", "ours": 98.9, "peer": 99.0, "ratio": 0.1}
    page = benchmarks.page({"export": {"environment": {}, "rows": [size, lost, ROW | {"ours": 4.25e-5}]}})
    smaller, worse, short = (line.split(" | ")[1:] for line in page.splitlines()[-3:])
    assert smaller == ["25.00 KB", "100.00 KB", "**0.25**", "-", "at most 0.30: kept |"]
    assert worse == ["98.90 %", "99.00 %", "**0.10 points**", "-", "at most 0.30 points: kept |"]
    assert short[0] == "42.5 us"


def test_the_page_matches_the_records(benchmarks):
    records = benchmarks.read_records(DOCS / "benchmarks")
    assert records
    assert (DOCS / "benchmarks.md").read_text(encoding="utf-8") == benchmarks.page(records)
