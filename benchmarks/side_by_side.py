"""Two or more ways of doing the same work, timed in turn, and their ratio.

Other programs slow a machine down for seconds at a time. So the sides take turns, round after round, each
round in the opposite order of the last (ABC CBA ABC ...): what disturbs one disturbs the others, and the
ratio stands where the times do not.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from keras_dl.atomic import replacing

Work = Callable[[], object]


@dataclass(frozen=True)
class Peer:
    """What we are compared with.

    Attributes:
        work: one unit of the work; it returns once the work is done.
        at_most: the ratio ours / peer that must not be exceeded, if there is one.
        share: the part of our unit that `work` does, where the whole would take too long; its time is divided
            by it.
    """

    work: Work
    at_most: float | None = None
    share: float = 1.0


@dataclass(frozen=True)
class Comparison:
    """One unit of work, done by us and by each peer.

    Attributes:
        name: what the work is.
        ours: one unit of it.
        peers: by name.
        repeat: whether the unit is short, like a training step: it is then warmed up, and repeated in each
            turn.
    """

    name: str
    ours: Work
    peers: Mapping[str, Peer]
    repeat: bool = True


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: turns of each side in a comparison of short units.
        seconds: how long such a turn lasts, about.
        long_rounds: turns of each side where a unit is a turn.
    """

    rounds: int = 15
    seconds: float = 0.5
    long_rounds: int = 5


QUICK = Effort(rounds=3, seconds=0.1, long_rounds=2)


@dataclass(frozen=True)
class Row:
    """Us against one peer.

    Attributes:
        name: of the work and the peer.
        ours: median seconds of a unit.
        peer: median seconds of the peer's.
        ratio: of the medians, ours / peer; below 1 we are faster.
        quartiles: lower and upper quartile of the ratios of the single rounds.
        rounds: their number.
        at_most: the ratio that must not be exceeded, if there is one.
    """

    name: str
    ours: float
    peer: float
    ratio: float
    quartiles: tuple[float, float]
    rounds: int
    at_most: float | None

    def __str__(self) -> str:
        low, high = self.quartiles
        bound = "" if self.at_most is None else f"<= {self.at_most:.2f}"
        return (
            f"{self.name:<46} {_duration(self.ours):>10} {_duration(self.peer):>10} {self.ratio:>7.3f}   "
            f"{low:.3f}-{high:.3f}   {bound}"
        ).rstrip()


HEADINGS = f"{'name':<46} {'ours':>10} {'peer':>10} {'ratio':>7}   quartiles     bound"


def compare(comparison: Comparison, effort: Effort) -> list[Row]:
    """Time all sides of a comparison in turn.

    Args:
        comparison: the sides.
        effort: how long to measure.

    Returns:
        A row for each peer.
    """
    works = [comparison.ours, *(peer.work for peer in comparison.peers.values())]
    rounds = effort.rounds if comparison.repeat else effort.long_rounds
    units = [_units(work, effort.seconds) if comparison.repeat else 0 for work in works]
    seconds: list[list[float]] = [[] for _ in works]
    for turn in range(rounds):
        order = range(len(works))
        for side in reversed(order) if turn % 2 else order:
            seconds[side].append(_turn(works[side], units[side]))
    ours = seconds[0]
    return [
        _row(f"{comparison.name}: {name}", ours, [each / peer.share for each in theirs], peer.at_most)
        for (name, peer), theirs in zip(comparison.peers.items(), seconds[1:], strict=True)
    ]


def _units(work: Work, seconds: float) -> int:
    """How many units fill a turn; the first ones, which compile and allocate, do not count."""
    for _ in range(3):
        work()
    began = time.perf_counter()
    work()
    return max(1, math.ceil(seconds / (time.perf_counter() - began)))


def _turn(work: Work, units: int) -> float:
    """Mean seconds of that many units, after one that brings back the caches; 0 is a single unit without."""
    if units:
        work()
    began = time.perf_counter()
    for _ in range(max(1, units)):
        work()
    return (time.perf_counter() - began) / max(1, units)


def _row(name: str, ours: Sequence[float], peer: Sequence[float], at_most: float | None) -> Row:
    ratios = [mine / theirs for mine, theirs in zip(ours, peer, strict=True)]
    low, _, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return Row(
        name=name,
        ours=median(ours),
        peer=median(peer),
        ratio=median(ours) / median(peer),
        quartiles=(low, high),
        rounds=len(ratios),
        at_most=at_most,
    )


def environment(threads: int, packages: Iterable[str]) -> dict[str, Any]:
    """What the figures depend on besides the code.

    Args:
        threads: that each side may use.
        packages: distributions whose versions count; those that are not installed are left out.

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
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_json(path: Path, machine: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write what was measured, times in seconds.

    Args:
        path: the file; it is there whole or not at all.
        machine: from `environment`.
        rows: from `compare`.
    """
    record = {"environment": dict(machine), "rows": [asdict(row) for row in rows]}
    with replacing(path) as draft:
        draft.write_text(json.dumps(record, indent=2) + "\n")


def _duration(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"
