"""The release format: one immutable folder per version, with a `release.json` that describes it.

    releases/digits/1/
        saved_model.pb  variables/  assets/       the SavedModel: what TensorFlow Serving loads
        assets.extra/tf_serving_warmup_requests   requests that it runs before it serves
        model.tflite                              a signature per endpoint
        onnx/<endpoint>.onnx                      a file per endpoint
        release.json                              written last

Importing this module does not import TensorFlow.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_dl_export.errors import ReleaseError
from keras_dl_export.files import sha256
from keras_dl_export.results import Artifact, Flops, Timing
from keras_dl_export.specs import Spec

MANIFEST = "release.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Release:
    """A published version.

    Attributes:
        path: its folder.
        manifest: the content of its `release.json`.
    """

    path: Path
    manifest: Mapping[str, Any] = field(repr=False)

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    @property
    def name(self) -> str:
        """The release's name, which is the name of the folder of its versions."""
        return self.path.resolve().parent.name

    @property
    def version(self) -> int:
        """The version number, which is the name of the folder."""
        return int(self.path.resolve().name)

    @property
    def inputs(self) -> dict[str, dict[str, Spec]]:
        """The inputs of every endpoint."""
        return self._specs("inputs")

    @property
    def outputs(self) -> dict[str, dict[str, Spec]]:
        """The outputs of every endpoint."""
        return self._specs("outputs")

    @property
    def smallest_vocabulary(self) -> int:
        """The smallest vocabulary of the model's embeddings; 2 without embeddings."""
        return int(self.manifest["smallest_vocabulary"])

    @property
    def tolerance(self) -> float | None:
        """The `tolerance` passed to `export`; None for the default."""
        found: float | None = self.manifest.get("tolerance")
        return found

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files of all formats: the SavedModel, then the others."""
        return tuple(Artifact.from_json(entry, self.path) for entry in self.manifest["artifacts"])

    @property
    def flops(self) -> dict[str, Flops]:
        """The cost of one call of each endpoint that could be counted."""
        found = {name: entry.get("flops") for name, entry in self.manifest["endpoints"].items()}
        return {name: Flops(**flops) for name, flops in found.items() if flops}

    @property
    def machine(self) -> str:
        """The machine on which the files were timed, or an empty string."""
        return str(self.manifest.get("latency", {}).get("machine", ""))

    @property
    def timings(self) -> tuple[Timing, ...]:
        """The latencies on `machine`."""
        return tuple(Timing(**timing) for timing in self.manifest.get("latency", {}).get("timings", ()))

    def check(self) -> None:
        """Compare every file with the size and hash in the manifest.

        Raises:
            ReleaseError: a file is missing, altered or not listed.
        """
        listed, found = self.manifest["files"], _files(self.path)
        for path in sorted({*listed, *found}):
            if path not in found:
                raise ReleaseError(f"{self.path}: the release is incomplete: {path} is missing. {_REMEDY}")
            if path not in listed:
                raise ReleaseError(
                    f"{self.path}: the release was altered: {path} is not part of it. {_REMEDY}"
                )
            if _fingerprint(self.path / path) != listed[path]:
                raise ReleaseError(f"{self.path}: the release was altered: {path} has changed. {_REMEDY}")

    def _specs(self, side: str) -> dict[str, dict[str, Spec]]:
        return {
            endpoint: {name: Spec(tuple(spec["shape"]), spec["dtype"]) for name, spec in sides[side].items()}
            for endpoint, sides in self.manifest["endpoints"].items()
        }


_REMEDY = "Export the model again: a published version is never changed."


def open_release(path: str | os.PathLike[str], version: int | None = None, *, check: bool = True) -> Release:
    """Read a release and check that it is complete.

    Args:
        path: the folder of one version, or of all versions of a release.
        version: the version; by default the newest.
        check: whether to compare all files with their hashes.

    Raises:
        ReleaseError: the release does not exist, is incomplete, or was altered.
    """
    folder = Path(path)
    if not is_release(folder):
        versions = _version_folders(folder)
        if not versions:
            raise ReleaseError(
                f"{folder}: expected a release or the folder of its versions, found neither a {MANIFEST} nor "
                "a numbered folder. Export the model there first."
            )
        if version is not None and version not in versions:
            raise ReleaseError(
                f"{folder}: expected one of the versions {str(sorted(versions))[1:-1]}, got {version}."
            )
        folder = versions[max(versions) if version is None else version]
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError as error:
        raise ReleaseError(
            f"{folder}: the release is incomplete: {MANIFEST} is missing. {_REMEDY}"
        ) from error
    except ValueError as error:
        raise ReleaseError(
            f"{folder}: the release is incomplete: {MANIFEST} is truncated. {_REMEDY}"
        ) from error
    if manifest.get("format_version") != FORMAT_VERSION:
        raise ReleaseError(
            f"{folder}: expected a release of format {FORMAT_VERSION}, got one of format "
            f"{manifest.get('format_version')!r}, written by another version of keras_dl. {_REMEDY}"
        )
    release = Release(folder, manifest)
    if check:
        release.check()
    return release


def is_release(folder: Path) -> bool:
    """Return whether `folder` is one version of a release."""
    return (folder / MANIFEST).is_file()


def holds_release(path: Path) -> bool:
    """Return whether `path` is one version of a release, or the folder of its versions."""
    return is_release(path) or bool(list_versions(path))


def list_versions(folder: str | os.PathLike[str]) -> list[int]:
    """Return the version numbers in `folder`, oldest first."""
    return sorted(_version_folders(Path(folder)))


def write_manifest(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write the `release.json` of a folder after all its other files, and return its content."""
    files = {path: _fingerprint(folder / path) for path in _files(folder)}
    manifest = {"format_version": FORMAT_VERSION, **content, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def publish(staged: Path, folder: Path) -> Path:
    """Rename a finished folder to the next version.

    The rename claims the number: if another export was faster, it fails and the next number is tried.

    Raises:
        ReleaseError: the folder of versions is not writable.
    """
    while True:
        target = folder / str(max(list_versions(folder), default=0) + 1)
        try:
            staged.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise ReleaseError(f"{target}: cannot be published: {error.strerror}.") from error
        else:
            return target


def _version_folders(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    return {int(entry.name): entry for entry in folder.iterdir() if entry.name.isdecimal() and entry.is_dir()}


def _files(folder: Path) -> list[str]:
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if path != MANIFEST)


def _fingerprint(path: Path) -> dict[str, Any]:
    return {"sha256": sha256(path), "bytes": path.stat().st_size}
