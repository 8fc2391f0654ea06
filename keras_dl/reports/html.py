"""Self-contained HTML reports: titled sections of tables and pictures in one file that can be mailed."""

from __future__ import annotations

import base64
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import jinja2

from keras_dl_export.files import replacing


@dataclass(frozen=True)
class Table:
    """Rows of text cells under named columns.

    Attributes:
        columns: the column headings.
        rows: one sequence of cells a row, as long as `columns`.
        caption: a line above the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    @property
    def numeric(self) -> set[int]:
        """The columns whose every cell starts like a number: they are aligned to the right."""
        return {
            index
            for index in range(len(self.columns))
            if self.rows and all(row[index][:1].isdigit() or row[index][:1] in "-<" for row in self.rows)
        }


@dataclass(frozen=True)
class Picture:
    """A PNG file and the line below it."""

    path: Path
    caption: str

    @property
    def base64(self) -> str:
        """The file's bytes as base64 text."""
        return base64.b64encode(self.path.read_bytes()).decode("ascii")


@dataclass(frozen=True)
class Section:
    """One card of the report: a title, then text, tables, pictures and code, each if given."""

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    code: str = ""


def write_report(
    path: str | Path,
    *,
    title: str,
    summary: str,
    sections: Sequence[Section],
    figures: Mapping[str, str] | None = None,
) -> Path:
    """Write an HTML report to `path` in one step: a reader never sees half a file.

    Args:
        path: the file to write; its folder must exist.
        title: the heading and the browser's tab.
        summary: a sentence below the heading.
        sections: the cards, in order.
        figures: the few results that matter most, name -> formatted value, shown large.

    Returns:
        `path` as a `Path`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("keras_dl.reports"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("keras-dl", "keras", "tensorflow"))
    html = environment.get_template("report.html.j2").render(
        title=title,
        summary=summary,
        figures=figures or {},
        sections=sections,
        footer=f"Written by {versions} on Python {platform.python_version()}.",
    )
    with replacing(path) as draft:
        draft.write_text(html, encoding="utf-8")
    return Path(path)
