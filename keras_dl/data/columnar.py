"""Named arrays and columns: dicts, data frames, .npz, .npy and .parquet files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_dl.data.arrays import open_arrays, open_parts
from keras_dl.data.folder import PARTS
from keras_dl.data.notices import listed
from keras_dl.data.source import Source
from keras_dl.data.table import Columns

_FEATURES = {"x", "image", "images", "data", "features", "inputs"}
_LABELS = {"y", "label", "labels", "target", "targets", "classes"}


def columns_of(source: Any) -> Columns | None:
    """Return the columns of a data frame, an Arrow table or a structured array; None for anything else."""
    if isinstance(source, np.ndarray) and source.dtype.names:
        return Columns("arrays", {name: source[name] for name in source.dtype.names})
    if hasattr(source, "column_names") and hasattr(source, "schema"):
        return Columns("table", _from_arrow(source))
    if hasattr(source, "columns") and hasattr(source, "to_numpy") and hasattr(source, "__getitem__"):
        return Columns("table", {str(name): _one_column(source, name) for name in source.columns})
    return None


def _one_column(frame: Any, name: Any) -> Any:
    column = frame[name]
    if len(getattr(column, "shape", (0,))) != 1:
        raise ValueError(
            f"source: expected unique column names, got several columns named {str(name)!r}. Rename all but "
            "one."
        )
    return column.to_numpy()


def open_mapping(
    source: Mapping[str, Any], *, name: str = "arrays", max_classes: int | None = None
) -> Source | Columns:
    """Open named arrays: `x` and `y`, `image` and `label`, `x_train` and `y_test`; or columns of a table.

    Args:
        source: name -> array. The words of a name may be in any order and case, as in `train_images`.
        name: the name in the description.
        max_classes: as in `encode_labels`.

    Raises:
        ValueError: the names do not identify features, labels or columns.
    """
    parts: dict[str, dict[str, ArrayLike]] = {}
    for key, array in source.items():
        words = set(str(key).lower().split("_"))
        part = next((PARTS[word] for word in words if word in PARTS), "train")
        kind = "x" if words & _FEATURES else "y" if words & _LABELS else None
        if kind is not None and len(words) <= 2:
            if kind in parts.get(part, {}):
                raise ValueError(
                    f"source: expected one array {kind} of {part!r} in {name}, got several candidates: "
                    f"{listed([str(each) for each in source])}. Pass the arrays directly, load((x, y))."
                )
            parts.setdefault(part, {})[kind] = array
    arrays = {part: (pair["x"], pair.get("y")) for part, pair in parts.items() if "x" in pair}
    if "train" in arrays and np.ndim(arrays["train"][0]) > 1:
        return open_parts(arrays, name=name, max_classes=max_classes)
    if len(source) == 1 and np.ndim(next(iter(source.values()))) > 1:
        return open_arrays(next(iter(source.values())), name=name)
    if source and all(np.ndim(array) == 1 for array in source.values()):
        sizes = {str(key): len(array) for key, array in source.items()}
        if len(set(sizes.values())) == 1:
            return Columns(name, {str(key): np.asarray(array) for key, array in source.items()})
    raise ValueError(
        f"source: expected arrays named x and y, image and label, or x_train, y_train, x_test and y_test, or "
        f"columns of one length, got {listed([str(key) for key in source]) or 'none'} in {name} (of type "
        f"{type(source).__name__}, shape ()). Pass the arrays directly, load((x, y))."
    )


def read_arrays(path: Path) -> ArrayLike | dict[str, Any]:
    """Return the array of a .npy file, or the arrays of a .npz file by name.

    Raises:
        ValueError: the file is malformed, or contains Python objects.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"source: {path} cannot be read as NumPy arrays ({error}). Save numbers, not Python objects, "
            "with np.savez(path, x=x, y=y)."
        ) from None


def read_parquet(path: Path) -> Columns:
    """Return the columns of a Parquet file.

    Raises:
        ImportError: pyarrow is missing.
        ValueError: the file is malformed.
    """
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise ImportError(
            f"source: expected pyarrow to read {path}, got an environment without it. Run `pip install "
            "pyarrow`, or save the table as a CSV file."
        ) from None
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"source: {path} cannot be read as a Parquet file ({reason}). Write it again, or save the "
            "table as a CSV file."
        ) from None
    return Columns(str(path), _from_arrow(table))


def _from_arrow(table: Any) -> dict[str, Any]:
    numeric = ("int", "uint", "float", "double", "bool")
    columns = {name: table.column(name) for name in table.column_names}
    return {
        name: column.to_numpy() if str(column.type).startswith(numeric) else column.to_pylist()
        for name, column in columns.items()
    }
