"""Write the calculated scaling up to 64 workers into docs/scaling.md, from docs/benchmarks/scaling.json.

    python benchmarks/plan.py

The step times and numbers of parameters are those that `scaling.py` measured on two workers that train
independently; the links are the assumed links of its plot, and `ring.py` is the cost model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ring
import scaling

DOCS = Path(__file__).parents[1] / "docs"
WORKERS = [2**power for power in range(7)]
# Exchanges per step. The benchmark counts and prints them, but does not write them to its record.
EXCHANGES = {"vae": 6, "dcgan": 17, "lstm": 3}
BEGIN, END = "<!-- python benchmarks/plan.py: begin -->\n", "<!-- end -->"
_ROW = re.compile(r"2 workers: (\w+), \d+ examples per worker, ([\d,]+) parameters: 2 independent workers")


def measured(record: Mapping[str, Any]) -> dict[str, tuple[float, int]]:
    """Return for each model the seconds of a step and the number of parameters."""
    rows = ((_ROW.fullmatch(row["name"]), row) for row in record["rows"])
    return {match[1]: (1 / row["peer"], int(match[2].replace(",", ""))) for match, row in rows if match}


def tables(record: Mapping[str, Any]) -> str:
    """Return one Markdown table for each of the assumed links."""
    return "\n".join(
        f"{name} (steps per second, share of n times the speed, MB that each worker sends per step):\n\n"
        + _table(measured(record), link)
        for name, link in scaling.PLANNED.items()
    )


def _table(models: Mapping[str, tuple[float, int]], link: ring.Link) -> str:
    lines = [["workers", *models], ["---:"] * (1 + len(models))]
    for workers in WORKERS:
        cells = []
        for name, (compute, parameters) in models.items():
            seconds = ring.step_seconds(workers, compute, parameters, link, EXCHANGES[name])
            sent = ring.bytes_sent(workers, parameters) / 1e6
            cells.append(f"{1 / seconds:.1f}, {compute / seconds:.0%}, {sent:.2f}")
        lines.append([str(workers), *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Write the tables into the page."""
    record = json.loads((DOCS / "benchmarks" / "scaling.json").read_text(encoding="utf-8"))
    page = DOCS / "scaling.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{tables(record)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
