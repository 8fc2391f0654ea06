"""The folder of a run: found or made by the chief, copied for the other workers."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_dl.callbacks import latest_checkpoint
from keras_dl.recipes import Recipe
from keras_dl.training.team import Team

RUNS = Path("runs")  # where a run lies that was given no folder


@contextmanager
def team_folder(team: Team, recipe: Recipe, out: str | Path | None, resume: bool) -> Iterator[Path]:
    """The run folder; on workers that are not the chief, a copy of what a training goes on from."""
    if team.cluster is None:
        yield _run_folder(recipe, out, resume)
        return
    if team.is_chief:
        found: list[Path] = []

        def send() -> bytes:
            found.append(_run_folder(recipe, out, resume))
            return _packed(found[0])

        team.from_chief(send)
        yield found[0]
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(fileobj=io.BytesIO(team.from_chief(bytes))) as archive,
    ):
        archive.extractall(folder, filter="data")
        yield Path(folder)


def _packed(folder: Path) -> bytes:
    """A tar file of what `train` reads of a run folder."""
    checkpoint = latest_checkpoint(folder / "checkpoints")
    wanted = [folder / name for name in ("recipe.json", "history.csv", "checkpoints/best.npz")]
    wanted += [folder / name for name in ("metrics.json", "model.keras")]
    wanted += [] if checkpoint is None else [checkpoint[0]]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in wanted:
            if path.exists():
                archive.add(path, path.relative_to(folder).as_posix())
    return packed.getvalue()


def _run_folder(recipe: Recipe, out: str | Path | None, resume: bool) -> Path:
    if out is None:
        if resume:
            raise ValueError(
                "resume: expected the run folder as `out`, got none. Pass the folder to go on with."
            )
        return _new_folder(RUNS / f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"out: expected a folder, but {folder} is a file. Choose another path.")
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise FileExistsError(
            f"out: {folder} is not empty. Choose another folder, or go on with the training in it: "
            "resume=True (--resume)."
        )
    return folder


def _new_folder(wanted: Path) -> Path:
    folder, number = wanted, 2
    while folder.exists():
        folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
    return folder


@contextmanager
def kept_if_resumable(folder: Path) -> Iterator[None]:
    """If the block fails before the first checkpoint of a new run, nothing of its folder stays."""
    existed = folder.exists()
    try:
        yield
    except BaseException:
        if not existed and latest_checkpoint(folder / "checkpoints") is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
