"""The cells of a CSV file, or the reason why it cannot be read."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from keras_dl.data.notices import listed
from keras_dl.data.reading import read_text

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", " ": "spaces"}


@dataclass(frozen=True)
class Cells:
    """The cells of a file.

    Attributes:
        header: the columns' names.
        rows: the cells below it, as many in each row as there are columns.
        lines: the line of the file that each row begins in; the first is 1.
        separator: what stands between the cells.
    """

    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    separator: str


def read_cells(path: Path, separator: str | None, encoding: str | None) -> Cells:
    """A file's cells, stripped of spaces; empty lines are left out.

    Args:
        path: the file; `.tsv` and `.tab` are tab-separated, `.gz` is unpacked.
        separator: one character; None for what the file's name says.
        encoding: as in `read_text`.

    Raises:
        ValueError: the file is written otherwise.
    """
    if separator in ("\\t", "tab"):  # as a command line spells it
        separator = "\t"
    if separator is not None and (
        not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n'
    ):
        raise ValueError(
            f"separator: expected one character, got {separator!r}. Pass for example ';' or '\\t' for a tab."
        )
    text = read_text(path, encoding)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    chosen = separator or ("\t" if suffix in (".tsv", ".tab") else ",")
    skipped = 0
    if (said := re.match(r"sep=(.)\r?\n", text)) is not None:  # Excel's own note of the separator
        text, skipped, chosen = text[said.end() :], 1, separator or said[1]
    rows, lines = _parsed(path, text, chosen, skipped)
    if (other := _other_separator(text, chosen, rows[:2], separator)) is not None:
        raise ValueError(
            f"separator: expected the columns of {path} to be separated by {_name(chosen)}, got lines with "
            f"{_name(other)}. Pass separator={other!r}."
        )
    if len(rows) < 2:
        raise ValueError(
            f"source: {path} holds no examples. "
            "Expected a line of column names and at least one row below it."
        )
    header, *rows = _without_empty_columns(rows)
    _check_header(path, header)
    header = [name or f"Unnamed: {number}" for number, name in enumerate(header)]
    _check_lengths(path, header, rows, lines[1:], chosen)
    return Cells(header, rows, lines[1:], chosen)


def _parsed(path: Path, text: str, separator: str, skipped: int) -> tuple[list[list[str]], list[int]]:
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    rows, lines = [], []
    line = skipped + 1
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            if row not in ([], [""]):
                rows.append(row)
                lines.append(line)
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        raise ValueError(_malformed(path, line, error)) from None
    while rows and len(rows) > 1 and not any(rows[-1]):  # what spreadsheets leave below a table
        rows.pop()
        lines.pop()
    return rows, lines


def _without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    """The rows without columns at the end that have no name and no cell, as spreadsheets write them."""
    width = len(rows[0])
    while (
        width > 1 and not rows[0][width - 1] and all(len(row) < width or not row[width - 1] for row in rows)
    ):
        width -= 1
    return [row[:width] if len(row) <= len(rows[0]) else row for row in rows]


def _malformed(path: Path, line: int, error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return (
            f'source: a quotation mark (") that opens in row {line:,} of {path} is not closed. Close it, or '
            'write "" for a quotation mark within a quoted cell.'
        )
    if "field larger" in str(error):
        return (
            f"source: a cell in row {line:,} of {path} is longer than {csv.field_size_limit():,} characters, "
            'most likely because a quotation mark (") is not closed. Close it, or leave such texts out of '
            "the "
            "file."
        )
    return (
        f"source: row {line:,} of {path} is malformed ({error}). Put a cell that holds quotation marks into "
        'quotation marks, and write "" for each within it.'
    )


def _other_separator(text: str, chosen: str, rows: list[list[str]], given: str | None) -> str | None:
    """What splits the first two lines into as many cells, more than one, where the chosen one does not."""
    whole = bool(rows) and len(rows[0]) == 1
    if not whole and (len(rows) < 2 or (given and len(rows[0]) == len(rows[1]))):
        return None
    first, second = ([*text.splitlines()[:2], "", ""])[:2]
    for other in ";\t|, " if whole else ";\t|":
        if other != chosen and first.count(other) and first.count(other) == second.count(other):
            return other
    return next((other for other in ";\t" if whole and other != chosen and other in first), None)


def _name(separator: str) -> str:
    return _NAMES.get(separator, repr(separator))


def _check_header(path: Path, header: list[str]) -> None:
    if repeated := sorted({name for name in header if name and header.count(name) > 1}):
        raise ValueError(
            f"source: {path} has several columns named {', '.join(map(repr, repeated))}. Give each column a "
            "name of its own."
        )
    numbers = [name for name in header if re.fullmatch(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?", name)]
    counted = [str(number) for number in range(len(numbers))]  # names that a program gave to columns without
    if any("." in name for name in numbers) or (len(numbers) == len(header) and numbers != counted):
        raise ValueError(
            f"source: the first line of {path} holds values ({listed(header)}) where the names of the "
            "columns are expected. Write a line of names above it."
        )


def _check_lengths(
    path: Path, header: list[str], rows: list[list[str]], lines: list[int], separator: str
) -> None:
    wrong = [(line, len(row)) for line, row in zip(lines, rows, strict=True) if len(row) != len(header)]
    if not wrong:
        return
    line, cells = wrong[0]
    others = f"; {len(wrong):,} rows in all differ from it" if len(wrong) > 1 else ""
    remedy = "Give every row one cell a column."
    if len(header) == 1 and len({count for _, count in wrong}) == 1:
        remedy = f"Remove the first line if it is a title and no name of a column, {header[0][:60]!r}."
    elif len(wrong) == len(rows) and all(count == len(header) + 1 for _, count in wrong):
        remedy = (
            "Add a name to the header if the first column has none, or remove the last separator of each row."
        )
    elif cells > len(header):
        remedy = (
            f"Give every row one cell a column, and put cells that hold {_name(separator)} into quotation "
            "marks."
        )
    raise ValueError(
        f"source: row {line:,} of {path} has {cells} cells, its header {len(header)}{others}. {remedy}"
    )
