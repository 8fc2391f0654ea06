"""The reader of CSV files, which reports why a file cannot be read."""

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
        header: the names of the columns.
        rows: the rows below the header, each with one cell per column.
        lines: the line of the file in which each row begins; the first line is 1.
        separator: the character between the cells.
    """

    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    separator: str


def read_cells(path: Path, separator: str | None, encoding: str | None) -> Cells:
    """Return the cells of a file without surrounding spaces; empty lines are skipped.

    Args:
        path: the file; `.tsv` and `.tab` are tab-separated, `.gz` is decompressed.
        separator: one character; by default a tab for `.tsv` and `.tab`, and a comma for other files.
        encoding: as in `read_text`.

    Raises:
        ValueError: the file is malformed, or uses another separator or encoding.
    """
    if separator in ("\\t", "tab"):  # as typed on a command line
        separator = "\t"
    if separator is not None and (
        not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n'
    ):
        raise ValueError(
            f"separator: expected one character, got {separator!r}. Pass for example ';', or '\\t' for a tab."
        )
    text = read_text(path, encoding)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    chosen = separator or ("\t" if suffix in (".tsv", ".tab") else ",")
    skipped = 0
    if (declared := re.match(r"sep=(.)\r?\n", text)) is not None:  # Excel's declaration of the separator
        text, skipped, chosen = text[declared.end() :], 1, separator or declared[1]
    rows, lines = _parsed(path, text, chosen, skipped)
    if (other := _other_separator(text, chosen, rows[:2], separator)) is not None:
        raise ValueError(
            f"separator: expected columns separated by {_name(chosen)} in {path}, got lines with "
            f"{_name(other)}. Pass separator={other!r}."
        )
    if len(rows) < 2:
        raise ValueError(
            "source: expected a line of column names and at least one row below it, got no examples in "
            f"{path}. Pass a file with examples."
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
    while rows and len(rows) > 1 and not any(rows[-1]):  # empty rows that spreadsheets write below a table
        rows.pop()
        lines.pop()
    return rows, lines


def _without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    """Return the rows without the trailing empty columns that spreadsheets write."""
    width = len(rows[0])
    while (
        width > 1 and not rows[0][width - 1] and all(len(row) < width or not row[width - 1] for row in rows)
    ):
        width -= 1
    return [row[:width] if len(row) <= len(rows[0]) else row for row in rows]


def _malformed(path: Path, line: int, error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return (
            f'source: expected a closing quotation mark ("), got none for the one that opens in row {line:,} '
            f'of {path}. Close it, or write "" for a quotation mark within a quoted cell.'
        )
    if "field larger" in str(error):
        return (
            f"source: expected cells of at most {csv.field_size_limit():,} characters, got a longer one in "
            f'row {line:,} of {path}, most likely because a quotation mark (") is not closed. Close it, or '
            "remove such texts from the file."
        )
    return (
        f"source: row {line:,} of {path} is malformed ({error}). Enclose a cell that contains quotation "
        'marks in quotation marks, and write "" for each of those within it.'
    )


def _other_separator(text: str, chosen: str, rows: list[list[str]], given: str | None) -> str | None:
    """Return a separator that splits the first two lines into equally many cells if `chosen` does not."""
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
            f"source: expected unique column names, got several columns named "
            f"{', '.join(map(repr, repeated))} in {path}. Rename all but one."
        )
    numbers = [name for name in header if re.fullmatch(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?", name)]
    counted = [str(number) for number in range(len(numbers))]  # names that programs give to unnamed columns
    if any("." in name for name in numbers) or (len(numbers) == len(header) and numbers != counted):
        raise ValueError(
            f"source: expected column names in the first line of {path}, got values ({listed(header)}). "
            "Insert a line of names above it."
        )


def _check_lengths(
    path: Path, header: list[str], rows: list[list[str]], lines: list[int], separator: str
) -> None:
    wrong = [(line, len(row)) for line, row in zip(lines, rows, strict=True) if len(row) != len(header)]
    if not wrong:
        return
    line, cells = wrong[0]
    others = f"; {len(wrong):,} rows in all differ from it" if len(wrong) > 1 else ""
    remedy = "Give every row one cell per column."
    if len(header) == 1 and len({count for _, count in wrong}) == 1:
        remedy = f"Remove the first line if it is a title, not a column name: {header[0][:60]!r}."
    elif len(wrong) == len(rows) and all(count == len(header) + 1 for _, count in wrong):
        remedy = (
            "Add a name to the header if the first column has none, or remove the last separator of each row."
        )
    elif cells > len(header):
        remedy = (
            f"Give every row one cell per column, and enclose cells that contain {_name(separator)} in "
            "quotation marks."
        )
    raise ValueError(
        f"source: expected {len(header)} cells, one per column of the header, got {cells} in row {line:,} of "
        f"{path}{others}. {remedy}"
    )
