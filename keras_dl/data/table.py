"""Tables of numeric features and a column of labels, from a file or from columns in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl.data.csv_file import read_cells
from keras_dl.data.labels import encode_labels, is_missing
from keras_dl.data.notices import listed, notify
from keras_dl.data.source import Description, Examples, Source, resident
from keras_dl_export.arguments import did_you_mean

_USUAL_LABELS = ("label", "labels", "class", "target", "y", "species", "category", "diagnosis", "outcome")
_USUAL_INDEX = re.compile(r"(?i:unnamed: \d+|index|idx|row|rownames|id|.*[ _]id)|\w*[a-z]I[dD]")
_COMMA = re.compile(r"[-+]?\d+,\d+")
_POINTS = re.compile(r"[-+]?\d{1,3}(\.\d{3})+(,\d+)?")  # thousands separators, or decimal points
# Cells that could be written as numbers, and how; the first pattern that matches a cell applies.
_REMEDIES = {
    re.compile(
        r"[-+]?\d{1,3}([,'’\s]\d{3})+([.,]\d+)?"
    ): "write thousands without a separator, 1234 and not 1,234",
    _POINTS: "write thousands without a separator, 1234,5 and not 1.234,5",
    _COMMA: "write decimal points, 1.5 and not 1,5",
    re.compile(r"(?i:true|false|yes|no)"): "write 1 and 0 for true and false",
    re.compile(
        r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}\b.*"
    ): "write dates as numbers, such as days since the first of them",
    re.compile(
        r"\W{0,3}\d[\d.,]*\s?(%|\D{1,4})|[^\w\s]{1,4}\s?\d[\d.,]*"
    ): "write numbers alone, without units or signs",
    re.compile(r"(?i:.*\.(jpe?g|png|gif|bmp|webp|tiff?))"): (
        "move image files into one folder per class and pass the parent folder"
    ),
}


@dataclass(frozen=True)
class Columns:
    """A table in memory.

    Attributes:
        name: the name of its file, or its kind.
        cells: name -> one value per row: text, numbers or objects.
        row: the index of a row -> its location, for errors.
        decimal_comma: whether a comma within a number is a decimal comma.
    """

    name: str
    cells: Mapping[str, Sequence[Any] | NDArray[Any]]
    row: Callable[[int], str] = "row {}".format
    decimal_comma: bool = False


def open_csv(
    path: Path,
    label_column: str | None,
    *,
    labels: bool = True,
    separator: str | None = None,
    encoding: str | None = None,
    drop: str | Sequence[str] = (),
    max_classes: int | None = None,
) -> Source:
    """Open a file with one line of column names; every column except that of the labels is a feature.

    Args:
        path: the file; `.tsv` is tab-separated.
        label_column: as in `open_columns`.
        labels: as in `open_columns`.
        separator: as in `read_cells`.
        encoding: as in `read_text`.
        drop: as in `open_columns`.
        max_classes: as in `open_columns`.

    Raises:
        ValueError: the file is malformed; and as in `open_columns`.
    """
    cells = read_cells(path, separator, encoding)
    columns = Columns(
        str(path),
        dict(zip(cells.header, zip(*cells.rows, strict=True), strict=True)),
        row=lambda index: f"row {cells.lines[index]:,}",
        decimal_comma=cells.separator != ",",
    )
    return open_columns(columns, label_column, labels=labels, drop=drop, max_classes=max_classes)


def open_columns(
    columns: Columns,
    label_column: str | None,
    *,
    labels: bool = True,
    drop: str | Sequence[str] = (),
    max_classes: int | None = None,
) -> Source:
    """Open a table as a source with the single part `train`.

    Args:
        columns: the table.
        label_column: the column of the labels, as for `encode_labels`. None if all columns are features.
        labels: False omits the column of the labels, if there is one.
        drop: columns to omit.
        max_classes: as in `encode_labels`.

    Raises:
        ValueError: a column is missing, a feature is not a finite number, or a label is not a class.
    """
    names = list(columns.cells)
    dropped = [drop] if isinstance(drop, str) else list(drop)
    for name in dropped:
        if name not in names:
            raise ValueError(
                f"drop: {columns.name} has no column {name!r}; its columns are {listed(names, at_most=20)}."
                f"{_near(name, names)} Pass names of its columns."
            )
    if label_column in dropped:
        raise ValueError(
            f"drop: expected columns of features, got {label_column!r}, the column of the labels in "
            f"{columns.name}. Select another with label_column=, or pass labels=False instead."
        )
    if label_column not in names and not labels:
        label_column = None
    if label_column is not None and label_column not in names:
        raise ValueError(
            f"label_column: {columns.name} has no column {label_column!r}; its columns are "
            f"{listed(names, at_most=20)}.{_near(label_column, names)} Select the column of the labels with "
            "label_column=, or pass labels=False to read only the features."
        )
    if not len(next(iter(columns.cells.values()))):
        raise ValueError(
            f"source: expected at least one row, got no examples in {columns.name}. Add rows to the table."
        )
    feature_names = [name for name in names if name != label_column and name not in dropped]
    if not feature_names:
        raise ValueError(
            f"source: expected columns of features, got only the label column {label_column!r} in "
            f"{columns.name}. Add columns of features."
        )
    classes, class_names = None, None
    if label_column is not None and labels:
        classes, class_names = encode_labels(
            np.asarray(columns.cells[label_column]),
            argument=f"the labels in column {label_column!r} of {columns.name}",
            max_classes=max_classes,
            row=columns.row,
        )
    features = _features(columns, feature_names)
    _warn_about_indices(columns, feature_names, features)
    description = Description(
        Path(columns.name).name,
        num_examples={"train": len(features)},
        num_features=len(feature_names),
        class_names=class_names,
    )
    return resident(description, {"train": Examples(features.astype(np.float32), classes)})


def _near(name: str, names: Sequence[str]) -> str:
    """Return a question that suggests similar columns, or an empty string."""
    usual = [each for label in _USUAL_LABELS for each in names if each.lower().strip() == label]
    guess = usual[:1] if name.lower() in _USUAL_LABELS else []
    return did_you_mean(name, names, most=2) or (f" Did you mean {guess[0]!r}?" if guess else "")


def _features(columns: Columns, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the columns as (N, D) finite numbers."""
    size = len(columns.cells[names[0]])
    features = np.empty((size, len(names)), np.float64)
    wrong: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        features[:, position], strange = _numbers(columns.cells[name], columns.decimal_comma)
        if strange:
            wrong[name] = strange
    if wrong:
        raise ValueError(_not_numbers(columns, wrong))
    return features


def _numbers(
    cells: Sequence[Any] | NDArray[Any], decimal_comma: bool
) -> tuple[NDArray[np.float64], list[int]]:
    """Return the numbers, and the rows whose cell is not a finite 32-bit number."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "biuf":
        numbers = cells.astype(np.float64)
    else:
        numbers = np.array([_number(cell, decimal_comma) for cell in cells], np.float64)
        if decimal_comma and any(_is_decimal_comma(cell) for cell in cells):
            # In a column with 1,5 the cell 1.234 means 1234, which float() would read as 1.234.
            numbers[[isinstance(cell, str) and _POINTS.fullmatch(cell) is not None for cell in cells]] = (
                np.nan
            )
    with np.errstate(over="ignore"):
        return numbers, [int(row) for row in np.flatnonzero(~np.isfinite(numbers.astype(np.float32)))]


def _number(cell: Any, decimal_comma: bool) -> float:
    text = cell.replace(",", ".") if decimal_comma and _is_decimal_comma(cell) else cell
    try:
        return np.nan if isinstance(text, str) and "_" in text else float(text)  # Python reads 1_000 as 1000
    except (TypeError, ValueError):
        return np.nan


def _is_decimal_comma(cell: Any) -> bool:
    return isinstance(cell, str) and _COMMA.fullmatch(cell) is not None


def _not_numbers(columns: Columns, wrong: Mapping[str, list[int]]) -> str:
    first_row, first = min((rows[0], name) for name, rows in wrong.items())
    cell = _shown(columns.cells[first][first_row])
    total = sum(map(len, wrong.values()))
    in_all = ""
    if total > 1:
        by_column = [
            f"{name!r} ({len(rows):,}: {listed([columns.row(row) for row in rows], at_most=3)})"
            for name, rows in wrong.items()
        ]
        in_all = f"; in all {total:,} cells are not numbers, in {listed(by_column)}"
    bad = [columns.cells[name][row] for name, rows in wrong.items() for row in rows]
    texts = [value for value in bad if isinstance(value, str) and not is_missing(value)]
    remedies = []
    if any(is_missing(value) for value in bad):
        remedies.append(
            "fill in missing values, for example with the mean of the column, or remove these rows"
        )
    kinds = [next((each for each in _REMEDIES if each.fullmatch(text)), None) for text in texts]
    remedies += [remedy for kind, remedy in _REMEDIES.items() if kind in kinds]
    text_columns = [name for name, rows in wrong.items() if _is_text(columns.cells[name], rows)]
    remedies.append(f"encode text as numbers or omit it, drop={text_columns or sorted(wrong)!r}")
    return (
        f"source: expected finite numbers in the columns of features, got {cell} in column {first!r} of "
        f"{columns.row(first_row)} of {columns.name}{in_all}. To fix it: {'; '.join(remedies)}."
    )


def _is_text(cells: Sequence[Any] | NDArray[Any], rows: list[int]) -> bool:
    return any(isinstance(cells[row], str) and not is_missing(cells[row]) for row in rows)


def _shown(value: Any) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _warn_about_indices(columns: Columns, names: Sequence[str], features: NDArray[np.float64]) -> None:
    """Warn about features that number the rows, from which a model would learn the order of the file."""
    if len(features) < 3:
        return
    indices = []
    for position, name in enumerate(names):
        column = features[:, position]
        counts = position == 0 and len(column) >= 10 and column[0] in (0, 1) and np.all(np.diff(column) == 1)
        named = _USUAL_INDEX.fullmatch(name) is not None and np.all(column == np.floor(column))
        if counts or (named and len(np.unique(column)) == len(column)):
            indices.append(name)
    if indices:
        columns_are = (
            "columns {} number the rows and are" if len(indices) > 1 else "column {} numbers the rows and is"
        )
        notify(
            f"{columns.name}: the {columns_are.format(', '.join(map(repr, indices)))} read as features. "
            f"Pass drop={indices!r} to omit them."
        )
