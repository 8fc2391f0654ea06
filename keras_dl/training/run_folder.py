"""The folder of a run: found or made by the chief, copied for the other workers."""

from __future__ import annotations

import io
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keras_dl.callbacks import latest_checkpoint
from keras_dl.recipes import Recipe
from keras_dl.training.distribution import Team
from keras_dl.training.folder_lock import check_free, check_unused

RUNS = Path("runs")  # where a run lies that was given no folder


@contextmanager
def team_folder(team: Team, recipe: Recipe, out: str | Path | None, resume: bool) -> Iterator[Path]:
    """The run folder; on workers that are not the chief, a copy of what a training goes on from."""
    if team.cluster is None:
        with _emptied(_run_folder(recipe, out, resume), out) as chosen:
            yield chosen
        return
    if team.is_chief:
        found: list[Path] = []

        def send() -> bytes:
            found.append(_run_folder(recipe, out, resume))
            return _packed(found[0])

        team.broadcast(send)
        with _emptied(found[0], out) as chosen:
            yield chosen
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(fileobj=io.BytesIO(team.broadcast(bytes))) as archive,
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
    check_unused(folder)
    check_free(folder, resume)
    return folder


def _new_folder(wanted: Path) -> Path:
    """A folder of this training alone: another one may begin in the same second."""
    folder, number = wanted, 2
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1


@contextmanager
def _emptied(folder: Path, out: str | Path | None) -> Iterator[Path]:
    """The folder; one that this training has named itself goes if nothing came into it."""
    try:
        yield folder
    finally:
        if out is None:
            with suppress(OSError):
                folder.rmdir()
                RUNS.rmdir()
