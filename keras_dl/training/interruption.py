"""Interruption of training, with the command to resume it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_dl.callbacks import latest_checkpoint
from keras_dl.recipes import Recipe, list_recipes
from keras_dl.recipes.recipe import ARRAYS, source_name


class TrainingInterrupted(KeyboardInterrupt):
    """An interruption (Ctrl-C) of training. The text has the completed epochs and the command to resume."""


@contextmanager
def interruptible(recipe: Recipe, folder: Path, strategy: str | None) -> Iterator[None]:
    """Raise an interruption of the block as `TrainingInterrupted`.

    Args:
        recipe: the recipe of the training.
        folder: its run folder.
        strategy: as in `train`.
    """
    try:
        yield
    except KeyboardInterrupt:
        checkpoint = latest_checkpoint(folder / "checkpoints")
        if checkpoint is None:
            raise TrainingInterrupted(
                "The training was interrupted before its first epoch was complete, so nothing is kept. Start "
                "it again with the same command, with or without --resume (resume=True)."
            ) from None
        raise TrainingInterrupted(
            f"The training was interrupted: {checkpoint[1]} of {recipe.epochs} epochs are done. Resume it "
            f"with `{_resume_call(recipe, folder, strategy)}`."
        ) from None


def resume_command(name: str, folder: Path, strategy: str | None = None) -> str:
    """Return the command line that resumes the training of a registered recipe."""
    words = ["keras-dl", "train", name, "--out", str(folder), "--resume"]
    return shlex.join([*words, "--strategy", strategy] if strategy else words)


def _resume_call(recipe: Recipe, folder: Path, strategy: str | None) -> str:
    arrays = source_name(recipe.data) == ARRAYS
    if recipe.name in list_recipes() and not arrays:
        return resume_command(recipe.name, folder, strategy)
    data = ", data=..." if arrays else ""
    return f"train(recipe{data}, out={str(folder)!r}, resume=True)"
