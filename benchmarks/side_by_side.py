"""Measure two or more implementations of the same work in turn and compare them by ratio.

Other programs slow a machine down for seconds at a time. Therefore the sides take turns, in rounds of
alternating order (ABC CBA ABC ...). A disturbance then affects all sides, and the ratio is stable even if the
times are not.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Literal

from keras_dl_export.files import replacing

Work = Callable[[], object]


@dataclass(frozen=True)
class Peer:
    """A peer of keras_dl in a comparison.

    Attributes:
        work: one unit of the work; it returns when the work is done.
        at_most: the upper bound of the ratio ours / peer (or of the difference, see `Comparison.by`), or
            None.
        share: the part of our unit that `work` does, if the whole unit would take too long; its time is
            divided by it.
    """

    work: Work
    at_most: float | None = None
    share: float = 1.0


@dataclass(frozen=True)
class Comparison:
    """One unit of work, done by keras_dl and by each peer.

    Attributes:
        name: the name of the work.
        ours: one unit of the work by keras_dl.
        peers: name -> peer.
        repeat: whether the unit is short, like a training step. A short unit is warmed up, and repeated in
            each turn.
        unit: of the figure that a work returns, such as "MB"; None if the works are timed.
        by: the ratio ours / peer, or the loss, that is, the difference peer - ours.
        rounds: turns of each side, overriding `Effort`; 1 for figures that do not vary.
    """

    name: str
    ours: Work
    peers: Mapping[str, Peer]
    repeat: bool = True
    unit: str | None = None
    by: Literal["ratio", "difference"] = "ratio"
    rounds: int | None = None


@dataclass(frozen=True)
class Effort:
    """The duration of a measurement.

    Attributes:
        rounds: turns of each side in a comparison of short units.
        seconds: approximate duration of such a turn.
        long_rounds: turns of each side if a turn is a single unit.
    """

    rounds: int = 15
    seconds: float = 0.5
    long_rounds: int = 5


QUICK = Effort(rounds=3, seconds=0.1, long_rounds=2)


@dataclass(frozen=True)
class Row:
    """The result of keras_dl against one peer.

    Attributes:
        name: of the work and the peer.
        ours: median of keras_dl: seconds per unit of work, or a figure in `unit`.
        peer: median of the peer.
        ratio: of the medians, ours / peer, below 1 if keras_dl is faster or smaller; or peer - ours, see
            `by`.
        quartiles: lower and upper quartile of the single rounds' `ratio`.
        rounds: number of rounds.
        at_most: the upper bound of `ratio`, or None.
        unit: of `ours` and `peer`.
        by: whether `ratio` is a ratio or a difference.
    """

    name: str
    ours: float
    peer: float
    ratio: float
    quartiles: tuple[float, float]
    rounds: int
    at_most: float | None
    unit: str = "s"
    by: Literal["ratio", "difference"] = "ratio"

    def __str__(self) -> str:
        low, high = self.quartiles
        bound = "" if self.at_most is None else f"<= {self.at_most:.2f}"
        ours, peer = self._figure(self.ours), self._figure(self.peer)
        return (
            f"{self.name:<52} {ours:>10} {peer:>10} {self.ratio:>7.3f}   {low:.3f}-{high:.3f}   {bound}"
        ).rstrip()

    def _figure(self, value: float) -> str:
        if self.unit != "s":
            return f"{value:,.2f} {self.unit}"
        if value >= 1:
            return f"{value:,.1f} s"
        return f"{1e3 * value:.2f} ms" if value >= 1e-3 else f"{1e6 * value:.1f} us"


HEADINGS = f"{'name':<52} {'ours':>10} {'peer':>10} {'ratio':>7}   quartiles     bound"


def compare(comparison: Comparison, effort: Effort) -> list[Row]:
    """Measure all sides of a comparison in turn.

    Args:
        comparison: the sides.
        effort: the duration of the measurement.

    Returns:
        A row for each peer.
    """
    works = [comparison.ours, *(peer.work for peer in comparison.peers.values())]
    rounds = comparison.rounds or (effort.rounds if comparison.repeat else effort.long_rounds)
    if comparison.unit is None:
        units = [_units(work, effort.seconds) if comparison.repeat else 0 for work in works]
        turns = [partial(_seconds, work, each) for work, each in zip(works, units, strict=True)]
    else:
        turns = works
    figures: list[list[Any]] = [[] for _ in works]
    for turn in range(rounds):
        order = range(len(works))
        for side in reversed(order) if turn % 2 else order:
            figures[side].append(turns[side]())
    ours = figures[0]
    return [
        _row(comparison, name, peer.at_most, ours, [each / peer.share for each in theirs])
        for (name, peer), theirs in zip(comparison.peers.items(), figures[1:], strict=True)
    ]


def _units(work: Work, seconds: float) -> int:
    """Return the number of units per turn; the first ones, which compile and allocate, are not counted."""
    for _ in range(3):
        work()
    began = time.perf_counter()
    work()
    return max(1, math.ceil(seconds / (time.perf_counter() - began)))


def _seconds(work: Work, units: int) -> float:
    """Return the mean seconds of `units` after one to warm the caches; 0 means one unit without warm-up."""
    if units:
        work()
    began = time.perf_counter()
    for _ in range(max(1, units)):
        work()
    return (time.perf_counter() - began) / max(1, units)


def _row(
    comparison: Comparison, peer: str, at_most: float | None, ours: Sequence[float], theirs: Sequence[float]
) -> Row:
    def judge(mine: float, other: float) -> float:
        return mine / other if comparison.by == "ratio" else other - mine

    judged = [judge(mine, other) for mine, other in zip(ours, theirs, strict=True)]
    low, _, high = quantiles(judged, n=4, method="inclusive") if len(judged) > 1 else judged * 3
    return Row(
        name=f"{comparison.name}: {peer}",
        ours=median(ours),
        peer=median(theirs),
        ratio=judge(median(ours), median(theirs)),
        quartiles=(low, high),
        rounds=len(judged),
        at_most=at_most,
        unit=comparison.unit or "s",
        by=comparison.by,
    )


def environment(threads: int, packages: Iterable[str]) -> dict[str, Any]:
    """Return what the figures depend on besides the code.

    Args:
        threads: the number of threads of each side.
        packages: distributions to list with their versions; those that are not installed are omitted.

    Returns:
        Cores, threads, load and versions.
    """
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cores": available_cores(),
        "threads": threads,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def available_cores() -> int:
    """Return the number of cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_json(path: Path, machine: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write the measurements; times are in seconds.

    Args:
        path: the file, written atomically.
        machine: from `environment`.
        rows: from `compare`.
    """
    record = {"environment": dict(machine), "rows": [asdict(row) for row in rows]}
    with replacing(path) as draft:
        draft.write_text(json.dumps(record, indent=2) + "\n")


def run(
    comparisons: Iterable[Comparison], effort: Effort, machine: Mapping[str, Any], out: Path | None
) -> list[Row]:
    """Measure the comparisons, print each row and write all rows.

    Args:
        comparisons: consumed one at a time.
        effort: the duration of the measurement.
        machine: from `environment`.
        out: JSON file, or None.

    Returns:
        The rows.
    """
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(HEADINGS, flush=True)
    rows: list[Row] = []
    for comparison in comparisons:
        for row in compare(comparison, effort):
            print(row, flush=True)
            rows.append(row)
        if out:  # after each comparison, so that an interrupted run keeps its rows
            write_json(out, machine, rows)
    return rows


def command_line(description: str, workloads: Iterable[str]) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark: `quick`, `only` and `out`."""
    names = [*workloads]
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write the rows to this file")
    return parser
