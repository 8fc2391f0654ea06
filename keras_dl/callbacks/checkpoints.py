"""Everything a training needs to go on where it was, bit for bit."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_dl_export.files import replacing

_NAME = re.compile(r"epoch-(\d+)\.npz")


class Checkpoints(keras.callbacks.Callback):
    """Writes the whole state after every epoch: `epoch-0007.npz` holds it after 7 epochs.

    The state is every variable of the model (its random seeds included) and of all its optimizers. The order
    of the data is no part of it, because `keras_dl.data.load(epoch=7)` gives it again.

    Args:
        folder: where the files go; it is made if need be.
        keep: how many of the newest files stay.
    """

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.keep = keep

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the checkpoint, and remove the oldest only after that."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_state(self.model, self.folder / f"epoch-{epoch + 1:04d}.npz")
        for path in _checkpoints(self.folder)[: -self.keep]:
            path.unlink()


def save_state(model: keras.Model, path: str | Path) -> None:
    """Write every variable of the model and of its optimizers to an .npz file, in one step."""
    arrays = {f"{i:05d} {v.path}": np.asarray(v) for i, v in enumerate(_state(model))}
    with replacing(path) as draft:
        np.savez(draft, **arrays)  # type: ignore[arg-type]


def restore_state(model: keras.Model, path: str | Path) -> None:
    """Give a built and compiled model, and its optimizers, the values that `save_state` wrote.

    Raises:
        ValueError: the file belongs to another model or other optimizers.
    """
    variables = _state(model)
    try:
        with np.load(path) as file:
            # By position and not by name: Keras numbers the names of layers on through a process.
            arrays = [file[name] for name in sorted(file.files)]
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"checkpoint: {path} cannot be read ({error}). Remove it: the training goes on from the "
            "checkpoint before it, or from the start where there is none."
        ) from None
    shapes = [tuple(array.shape) for array in arrays]
    if shapes != [tuple(variable.shape) for variable in variables]:
        raise ValueError(
            f"checkpoint: {path} holds {len(arrays)} variables that do not fit the {len(variables)} of this "
            "model and its optimizers. Restore it into the model it was written from, compiled the same way."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def copy_state(model: keras.Model, twin: keras.Model) -> None:
    """Give a model of the same architecture and its optimizers the values of `model` and its optimizers."""
    for variable, other in zip(_state(twin), _state(model), strict=True):
        variable.assign(np.asarray(other))


def latest_checkpoint(folder: str | Path) -> tuple[Path, int] | None:
    """The newest checkpoint in `folder` and the number of epochs behind it, or None."""
    paths = _checkpoints(Path(folder))
    return (paths[-1], _epoch(paths[-1])) if paths else None


def named_optimizers(model: keras.Model) -> dict[str, Any]:
    """The optimizers that the model holds, by attribute, in alphabetical order."""
    held = {name: value for name, value in vars(model).items() if isinstance(value, keras.Optimizer)}
    return dict(sorted(held.items()))


def _state(model: keras.Model) -> list[Any]:
    return [
        *model.variables,
        *(v for optimizer in named_optimizers(model).values() for v in optimizer.variables),
    ]


def _checkpoints(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("epoch-*.npz") if _NAME.fullmatch(path.name)), key=_epoch)


def _epoch(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])
