"""The calculated scaling up to 64 workers: the page matches the record, the figures match the formula."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import plan
import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def record() -> Any:
    return json.loads((DOCS / "benchmarks" / "scaling.json").read_text(encoding="utf-8"))


def cells(record: Any, link: int) -> dict[int, list[list[float]]]:
    """Return, by the number of workers and for each model: steps per second, share in percent, MB."""
    table = plan.tables(record).split("steps per second")[link + 1]
    rows = [
        line.strip("| ").split(" | ")
        for line in table.splitlines()
        if line[:3].strip("| ").isdigit() and line[0] == "|"
    ]
    return {
        int(workers): [[float(figure.rstrip("%")) for figure in cell.split(", ")] for cell in models]
        for workers, *models in rows
    }


def test_the_page_contains_the_tables_of_the_record(record: Any) -> None:
    page = (DOCS / "scaling.md").read_text(encoding="utf-8")
    assert page.partition(plan.BEGIN)[2].partition(plan.END)[0].strip() == plan.tables(record).strip()


def test_the_speed_of_one_worker_and_the_bytes_of_two_are_measured(record: Any) -> None:
    rows = record["rows"]
    speeds = [row["peer"] for row in rows if row["name"].endswith("independent workers")]
    counted = [row["ours"] for row in rows if row["name"].startswith("bytes per step and worker")]
    assert len(speeds) == len(counted) == 3
    for link in (0, 1):
        found = cells(record, link)
        assert list(found) == [1, 2, 4, 8, 16, 32, 64]
        assert [cell[0] for cell in found[1]] == pytest.approx(speeds, abs=0.05)
        assert [cell[1:] for cell in found[1]] == [[100, 0]] * 3
        assert [cell[2] for cell in found[2]] == pytest.approx(counted, rel=0.02)


def test_the_values_match_the_formula(record: Any) -> None:
    """Check the VAE on 64 workers: c + k 2 (n - 1) latency + 2 (n - 1) / n 4 P / bandwidth."""
    name = "2 workers: vae, 64 examples per worker, 1,659,169 parameters: 2 independent workers"
    (compute,) = (1 / row["peer"] for row in record["rows"] if row["name"] == name)
    parameters = 1_659_169
    for link, (latency, bandwidth) in enumerate([(50e-6, 1.25e9), (10e-6, 12.5e9)]):
        seconds = compute + 6 * 126 * latency + 126 / 64 * 4 * parameters / bandwidth
        speed, share, sent = cells(record, link)[64][0]
        assert speed == pytest.approx(1 / seconds, abs=0.05)
        assert share == pytest.approx(100 * compute / seconds, abs=0.5)
        assert sent == pytest.approx(126 / 64 * 4 * parameters / 1e6, abs=0.005)
