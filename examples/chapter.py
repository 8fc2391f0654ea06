"""The command line and the figure of every chapter."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from matplotlib.figure import Figure

from keras_dl.reports import figures


class Chapter(NamedTuple):
    """A figure to draw on, and the options of the command line."""

    figure: Figure
    quick: bool
    out: Path

    def axes(self, columns: int, rows: int = 1) -> list[Any]:
        """Return a grid of axes, row by row."""
        grid = self.figure.subplots(rows, columns, squeeze=False)
        return list(grid.ravel())

    def save(self) -> None:
        """Write the figure and print its path."""
        self.out.parent.mkdir(parents=True, exist_ok=True)
        print(f"Picture: {figures.save(self.figure, self.out, dpi=100)}")


def chapter(width: float = 10, height: float = 3.4) -> Chapter:
    """Read `--quick` and `--out` for the script that runs."""
    script = Path(sys.argv[0])
    parser = argparse.ArgumentParser(description=f"Chapter {script.stem}.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, a few seconds")
    parser.add_argument("--out", type=Path, default=Path(f"{script.stem}.png"), help="the picture's path")
    options = parser.parse_args()
    return Chapter(Figure(figsize=(width, height), layout="constrained"), options.quick, options.out)
