"""The page of benchmarks says what they wrote."""

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


def test_a_row_says_whether_its_bound_is_kept(benchmarks):
    rows = [ROW, ROW | {"ratio": 0.76}, ROW | {"at_most": None}]
    page = benchmarks.page({"training": {"environment": {"cores": 2, "torch": "2.13.0"}, "rows": rows}})
    kept, broken, free = page.splitlines()[-3:]
    assert kept == "| vae: PyTorch | 30.5 ms | 1.2 s | **0.02** | 0.02-0.03 | at most 0.75: kept |"
    assert broken.endswith("| **0.76** | 0.02-0.03 | at most 0.75: NOT kept |")
    assert free.endswith("| 0.02 | 0.02-0.03 | - |")
    assert "docs/benchmarks/training.json` on: cores 2, torch 2.13.0." in page
