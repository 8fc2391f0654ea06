"""Self-contained HTML reports: titled sections of tables and pictures in one file."""

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
        rows: the cells of each row, as many as `columns`.
        caption: a line above the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    @property
    def numeric(self) -> set[int]:
        """The columns in which every cell starts like a number, which are aligned to the right."""
        return {
            index
            for index in range(len(self.columns))
            if self.rows and all(row[index][:1].isdigit() or row[index][:1] in "-<" for row in self.rows)
        }


@dataclass(frozen=True)
class Picture:
    """A PNG file and its caption."""

    path: Path
    caption: str

    @property
    def base64(self) -> str:
        """The content of the file as base64 text."""
        return base64.b64encode(self.path.read_bytes()).decode("ascii")


@dataclass(frozen=True)
class Section:
    """A section of a report: a title, and optionally text, tables, pictures and code."""

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
    """Write an HTML report to `path`, atomically: a reader never sees an incomplete file.

    Args:
        path: the file to write; its folder must exist.
        title: the heading and the title of the page.
        summary: a sentence below the heading.
        sections: the sections, in order.
        figures: the main results, name -> formatted value, in large type.

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
