"""The folder of a run: opened or created by the chief, copied for the other workers."""

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

RUNS = Path("runs")  # the default parent of run folders


@contextmanager
def team_folder(team: Team, recipe: Recipe, out: str | Path | None, resume: bool) -> Iterator[Path]:
    """Open the run folder; workers other than the chief get a copy of the files for resuming."""
    if team.cluster is None:
        with _removed_if_empty(_run_folder(recipe, out, resume), out) as chosen:
            yield chosen
        return
    if team.is_chief:
        found: list[Path] = []

        def send() -> bytes:
            found.append(_run_folder(recipe, out, resume))
            return _packed(found[0])

        team.broadcast(send)
        with _removed_if_empty(found[0], out) as chosen:
            yield chosen
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(fileobj=io.BytesIO(team.broadcast(bytes))) as archive,
    ):
        archive.extractall(folder, filter="data")
        yield Path(folder)


def _packed(folder: Path) -> bytes:
    """Return a tar file of the files that `train` reads from a run folder."""
    checkpoint = latest_checkpoint(folder / "checkpoints")
    needed = [folder / name for name in ("recipe.json", "history.csv", "checkpoints/best.npz")]
    needed += [folder / name for name in ("metrics.json", "model.keras")]
    needed += [] if checkpoint is None else [checkpoint[0]]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in needed:
            if path.exists():
                archive.add(path, path.relative_to(folder).as_posix())
    return packed.getvalue()


def _run_folder(recipe: Recipe, out: str | Path | None, resume: bool) -> Path:
    if out is None:
        if resume:
            raise ValueError(
                "resume: expected the run folder as `out`, got none. Pass the folder of the run to resume."
            )
        return _new_folder(RUNS / f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    folder = Path(out)
    check_unused(folder)
    check_free(folder, resume)
    return folder


def _new_folder(path: Path) -> Path:
    """Create a new folder; another run may start in the same second."""
    folder, number = path, 2
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            folder, number = path.with_name(f"{path.name}-{number}"), number + 1


@contextmanager
def _removed_if_empty(folder: Path, out: str | Path | None) -> Iterator[Path]:
    """Yield the folder; if its name was generated, remove it when it is still empty."""
    try:
        yield folder
    finally:
        if out is None:
            with suppress(OSError):
                folder.rmdir()
                RUNS.rmdir()
