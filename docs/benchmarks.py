"""Write docs/benchmarks.md from the records in docs/benchmarks.

    python docs/benchmarks.py

A benchmark writes its record with `--out docs/benchmarks/<benchmark>.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_dl_export.files import replacing

DOCS = Path(__file__).parent

HEADER = """\
# Benchmarks

Each row compares keras_dl with a named peer that does the same work. Both are measured in turn, in several
rounds of one run of the benchmark.

- `ratio` is the median of keras_dl divided by the median of the peer. Below 1, keras_dl is faster or smaller.
  For percentages, it is the number of points that keras_dl loses.
- `quartiles` are the quartiles of the ratios of the single rounds.
- `bound` is the upper bound of the ratio.

This page is generated from the records in `docs/benchmarks` by `python docs/benchmarks.py`.
"""
COLUMNS = ("work and peer", "keras_dl", "peer", "ratio", "quartiles", "bound")


def page(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page in Markdown.

    Args:
        records: benchmark -> its record.
    """
    return HEADER + "".join(_section(name, record) for name, record in sorted(records.items()))


def read_records(folder: Path) -> dict[str, Any]:
    """Return all records of a folder by the name of their benchmark."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}


def _section(name: str, record: Mapping[str, Any]) -> str:
    measured_on = ", ".join(f"{what} {value}" for what, value in record["environment"].items())
    table = [COLUMNS, ("---", *["---:"] * (len(COLUMNS) - 1)), *map(_cells, record["rows"])]
    command = f"python benchmarks/{name}.py --out docs/benchmarks/{name}.json"
    return f"\n## {name}\n\n`{command}` on: {measured_on}.\n\n{_lines(table)}"


def _lines(table: Iterable[Iterable[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in table)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    points = " points" if row.get("by") == "difference" else ""
    unit = row.get("unit", "s")
    low, high = row["quartiles"]
    ratio, bound = f"{row['ratio']:.2f}{points}", row["at_most"]
    if bound is None:
        judged = "-"
    else:
        judged = f"at most {bound:.2f}{points}: {'kept' if row['ratio'] <= bound else 'NOT kept'}"
        ratio = f"**{ratio}**"
    return (
        row["name"],
        _figure(row["ours"], unit),
        _figure(row["peer"], unit),
        ratio,
        f"{low:.2f}-{high:.2f}" if row["rounds"] > 1 else "-",
        judged,
    )


def _figure(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:,.2f} {unit}"
    if value >= 1:
        return f"{value:,.1f} s"
    return f"{1e3 * value:,.1f} ms" if value >= 1e-3 else f"{1e6 * value:,.1f} us"


def main() -> None:
    """Write the page."""
    with replacing(DOCS / "benchmarks.md") as draft:
        draft.write_text(page(read_records(DOCS / "benchmarks")), encoding="utf-8")


if __name__ == "__main__":
    main()
