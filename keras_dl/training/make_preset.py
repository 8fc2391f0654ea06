"""The creation of presets from finished runs.

    python -m keras_dl.training.make_preset RUN [NAME]

This writes `<NAME>.npz` into `keras_dl/presets` and its record into the index there; their format is
described in `keras_dl/presets/pretrained.py`. NAME is that of the recipe by default. An existing preset is
replaced.
"""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_dl.presets import pretrained
from keras_dl.training.records import write_json
from keras_dl.training.runs import load_run
from keras_dl_export.files import replacing, sha256

MOST_BYTES = 2_000_000


def make_preset(run: str | Path, name: str | None = None, *, into: str | Path | None = None) -> Path:
    """Convert the model of a run to a preset.

    Half precision halves the file size and changes a weight by at most 1/2048 of its value, or 3e-8 near 0.

    Args:
        run: the folder of a finished run.
        name: the name for `from_preset`; by default that of the recipe.
        into: the folder of the presets; by default that of this package.

    Returns:
        The path of the weights.

    Raises:
        FileNotFoundError: there is no finished run in `run`.
        ValueError: the name is invalid, the model is not one of this package, or its weights are too large
            for half precision or for a preset. Nothing is written.
    """
    finished = load_run(run)
    folder = Path(str(pretrained.FOLDER) if into is None else into)
    name = finished.recipe.name if name is None else name
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(
            f"name: expected lowercase letters and digits, separated by hyphens, got {name!r}. "
            "Pass a name such as 'vae-mnist'."
        )
    description = keras.saving.serialize_keras_object(finished.model)
    description.pop("compile_config", None)  # further training requires a new optimizer
    if not str(description["registered_name"]).startswith("keras_dl>"):
        raise ValueError(
            f"run: expected a model of keras_dl.models, got {description['registered_name']!r}, which other "
            "installations cannot load. Move its class into the package first."
        )
    content = _packed(finished.model)
    record = {
        "file": f"{name}.npz",
        "sha256": sha256(content),
        "bytes": len(content),
        "model": description,
        "run": json.loads((finished.folder / "metrics.json").read_text(encoding="utf-8")),
    }
    path = folder / f"{name}.npz"
    with replacing(path) as draft:
        draft.write_bytes(content)
    write_json(
        folder / pretrained.INDEX_FILE, dict(sorted({**pretrained.read_index(folder), name: record}.items()))
    )
    return path


def _packed(model: Any) -> bytes:
    arrays = [np.asarray(weight) for weight in model.weights]
    largest = max(float(np.abs(array).max(initial=0.0)) for array in arrays)
    most = float(np.finfo(np.float16).max)
    if not largest <= most:  # also true for NaN
        raise ValueError(
            f"run: expected weights within ±{most:.0f}, got {largest:g}, beyond the range "
            "of half precision. Train with weight decay or a lower learning rate."
        )
    file = io.BytesIO()
    np.savez_compressed(file, *(array.astype(np.float16) for array in arrays))
    if file.tell() >= MOST_BYTES:
        raise ValueError(
            f"run: expected weights below {MOST_BYTES:,} bytes, got {file.tell():,}. "
            "Train a smaller model: fewer units or filters."
        )
    return file.getvalue()


def main() -> None:
    """Create a preset from the run on the command line."""
    path = make_preset(*sys.argv[1:3])
    sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
