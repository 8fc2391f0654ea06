"""The models in a folder of releases, as a server has to be configured for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from keras_dl_export.errors import ReleaseError
from keras_dl_export.release import MANIFEST, Release, is_release, open_release
from keras_dl_export.specs import Spec
from keras_dl_serving.server.releases import explain_nothing_found, scan

# KServe makes a Service of each model, `<name>-predictor`: a DNS label, at most 63 characters in all.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,51}[a-z0-9])?")


@dataclass(frozen=True)
class Served:
    """A model to be served.

    Attributes:
        name: the release's name, by which clients call the model.
        joinable: whether the server may join the requests of several clients into one batch.
    """

    name: str
    joinable: bool

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name: expected a DNS label (a-z, 0-9 and -, a letter first, no - last, at most 53 "
                f"characters), got {self.name!r}, which Kubernetes refuses. Rename the release's folder."
            )


def read_releases(folder: Path) -> list[Served]:
    """Return the models of a folder of releases by name, each by its newest version.

    Raises:
        ReleaseError: there is no release, or one is incomplete, altered, not written by keras_dl, or without
            a SavedModel.
        ValueError: the name of a release is not a DNS label.
    """
    if reason := explain_nothing_found(folder):
        raise ReleaseError(f"releases: expected a folder of <name>/<version>/, but {reason}.")
    return [_served(_open(folder / name), name) for name in sorted(scan(folder))]


def _open(folder: Path) -> Release:
    versions = [each for each in folder.iterdir() if each.name.isdecimal()]
    newest = max(versions, key=lambda each: int(each.name), default=folder)
    if (newest / "saved_model.pb").is_file() and not is_release(newest):
        raise ReleaseError(
            f"{newest}: expected a release, whose {MANIFEST} says what the model takes and gives, found a "
            "SavedModel alone. Publish the model with keras-dl export or keras_dl.export.export."
        )
    return open_release(folder)


def _served(release: Release, name: str) -> Served:
    if not (release.path / "saved_model.pb").is_file():
        raise ReleaseError(
            f"{release.path}: expected a SavedModel, the format that TensorFlow Serving loads, found no "
            "saved_model.pb. Export the model again with it."
        )
    endpoints = ((release.inputs[each].values(), release.outputs[each].values()) for each in release.inputs)
    return Served(name, all(_joinable(inputs, outputs) for inputs, outputs in endpoints))


def _joinable(inputs: Iterable[Spec], outputs: Iterable[Spec]) -> bool:
    """Return whether inputs of several requests can be concatenated and the outputs be split again.

    All have to begin with the same free axis. A second free axis, such as time, would differ between
    requests: the server refuses to join those, or pads them, and a model takes the padding for data.
    """
    inputs = list(inputs)
    first = {spec.shape[:1] for spec in (*inputs, *outputs)}
    free = [size for spec in inputs for size in spec.shape if isinstance(size, str)]
    return len(first) == 1 and len(free) == len(inputs) and first == {(free[0],) if free else ()}
