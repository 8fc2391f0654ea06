"""Checkpoints of the complete training state, which resume training bit for bit."""

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
    """A callback that writes the whole state after every epoch, such as `epoch-0007.npz` after 7 epochs.

    The state consists of all variables of the model (including its random seeds) and of its optimizers. The
    order of the data is not part of it, because `keras_dl.data.load(epoch=7)` reproduces it.

    Args:
        folder: the folder of the files; it is created if necessary.
        keep: the number of newest files to keep.
    """

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.keep = keep

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the checkpoint, then remove the oldest ones."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_state(self.model, self.folder / f"epoch-{epoch + 1:04d}.npz")
        for path in _checkpoints(self.folder)[: -self.keep]:
            path.unlink()


def save_state(model: keras.Model, path: str | Path) -> None:
    """Write every variable of the model and of its optimizers to an .npz file, atomically."""
    arrays = {f"{i:05d} {v.path}": np.asarray(v) for i, v in enumerate(_state(model))}
    with replacing(path) as draft:
        np.savez(draft, **arrays)  # type: ignore[arg-type]


def restore_state(model: keras.Model, path: str | Path) -> None:
    """Restore the values that `save_state` wrote into a built and compiled model and its optimizers.

    Raises:
        ValueError: the file belongs to another model or other optimizers.
    """
    variables = _state(model)
    try:
        with np.load(path) as file:
            # By position rather than by name: Keras numbers layer names consecutively within a process.
            arrays = [file[name] for name in sorted(file.files)]
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"checkpoint: {path} cannot be read ({error}). Remove it to resume from the checkpoint before "
            "it, or from the start if there is none."
        ) from None
    shapes = [tuple(array.shape) for array in arrays]
    if shapes != [tuple(variable.shape) for variable in variables]:
        raise ValueError(
            f"checkpoint: expected the {len(variables)} variables of this model and its optimizers, got "
            f"{len(arrays)} variables that do not match in {path}. Restore it into the model it was written "
            "from, compiled the same way."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def copy_state(model: keras.Model, twin: keras.Model) -> None:
    """Copy the values of `model` and its optimizers to `twin`, a model of the same architecture."""
    for variable, other in zip(_state(twin), _state(model), strict=True):
        variable.assign(np.asarray(other))


def latest_checkpoint(folder: str | Path) -> tuple[Path, int] | None:
    """Return the newest checkpoint in `folder` and its number of completed epochs, or None."""
    paths = _checkpoints(Path(folder))
    return (paths[-1], _epoch(paths[-1])) if paths else None


def named_optimizers(model: keras.Model) -> dict[str, Any]:
    """Return the optimizers of the model by attribute name, in alphabetical order."""
    optimizers = {name: value for name, value in vars(model).items() if isinstance(value, keras.Optimizer)}
    return dict(sorted(optimizers.items()))


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
