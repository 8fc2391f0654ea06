"""A CSV file: numeric features and a column of labels."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from keras_dl.data.arrays import check_features, encode_labels
from keras_dl.data.source import Description, Examples, Source, resident


def open_csv(path: Path, label_column: str | None, labels: bool = True) -> Source:
    """A table with one line of column names; every column but the label's is a feature.

    Args:
        path: the file; `.tsv` is tab-separated.
        label_column: the labels' column: classes 0 ... K-1, or names. None where all columns are features.
        labels: False leaves the labels' column out, where there is one.

    Raises:
        ValueError: no rows, no such column, rows of unequal length, a feature that is no number.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",") if row]
    if len(rows) < 2:
        raise ValueError(
            f"source: {path} holds no examples. "
            "Expected a line of column names and at least one row below it."
        )
    header, *rows = [[cell.strip() for cell in row] for row in rows]
    if label_column not in header and not labels:
        label_column = None
    if label_column is not None and label_column not in header:
        raise ValueError(
            f"label_column: {path} has no column {label_column!r}; its columns are {', '.join(header)}. "
            "Name the labels' column with label_column=, or pass labels=False to take the features alone."
        )
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(
                f"source: row {number} of {path} has {len(row)} cells, its header {len(header)}. "
                "Give every row one cell a column."
            )
    feature_columns = [column for column in range(len(header)) if header[column] != label_column]
    if not feature_columns:
        raise ValueError(
            f"source: {path} has the label column {label_column!r} alone. Add columns of features."
        )
    features = np.empty((len(rows), len(feature_columns)), np.float64)
    for number, row in enumerate(rows):
        for position, column in enumerate(feature_columns):
            try:
                features[number, position] = float(row[column])
            except ValueError:
                raise ValueError(
                    f"source: column {header[column]!r} of row {number + 2} of {path} is {row[column]!r}. "
                    "Expected numbers in every column but the label's: encode it or leave it out."
                ) from None
    classes, class_names = None, None
    if label_column is not None and labels:
        classes, class_names = _labels([row[header.index(label_column)] for row in rows], label_column)
    description = Description(
        path.name,
        num_examples={"train": len(rows)},
        num_features=len(feature_columns),
        class_names=class_names,
    )
    return resident(description, {"train": Examples(check_features(features), classes)})


def _labels(cells: list[str], label_column: str) -> tuple[np.ndarray, tuple[str, ...]]:
    try:
        numbers = np.array([float(cell) for cell in cells])
    except ValueError:
        return encode_labels(cells, argument=f"the labels in column {label_column!r}")
    return encode_labels(numbers, argument=f"the labels in column {label_column!r}")
