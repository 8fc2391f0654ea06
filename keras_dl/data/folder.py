"""A folder of images with one subfolder per class."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from keras_dl.data.images import Header, is_image_file, read_header, read_pixels
from keras_dl.data.labels import doubtful_classes
from keras_dl.data.notices import listed, notify
from keras_dl.data.source import Description, Examples, Indices, Source, size_to_read

OnCorrupt = Literal["raise", "skip"]

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# Files and folders that operating systems and programs create; names that begin with a dot are hidden, too.
_HIDDEN = {"__macosx", "@eadir", "__pycache__", "$recycle.bin", "lost+found", "thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class _ImageFile:
    path: Path
    folders: tuple[str, ...]  # below the folder of the part; the first is the class

    @property
    def class_name(self) -> str | None:
        return self.folders[0] if self.folders else None


def open_folder(
    path: Path, image_size: tuple[int, int] | None, *, labels: bool = True, on_corrupt: OnCorrupt = "raise"
) -> Source:
    """Open images in `class/*.png`, or in `train/class/*.png`, `validation/class/*.png`, `test/class/*.png`.

    The classes are the names of the subfolders, sorted. Hidden files and folders are ignored; other files
    that are not images are counted in a warning. Images without class folders have no labels. Images are gray
    if all files are, and RGB otherwise.

    Args:
        path: the folder; links in it are followed.
        image_size: (H, W) to which images are resized while they are read, if they differ in size or are
            larger.
        labels: whether to read the classes.
        on_corrupt: `"skip"` skips files that cannot be decoded, and counts them in the warning.

    Raises:
        ValueError: there are no images, a file is corrupt, or the folders are not arranged as above.
    """
    notices: list[str] = []
    folders = _part_folders(path, notices)
    found = {part: _files(folder, notices) for part, folder in folders.items()}
    files, headers = _readable(found, on_corrupt, notices)
    for part, folder in folders.items():
        if not files[part]:
            raise ValueError(_no_images(folder, notices))
    class_names = _class_names(files, path, notices) if labels else None
    image_shape = _image_shape(headers)
    resize_to = size_to_read(image_shape, image_size)
    if notices:
        notify(f"{path}: {'; '.join(dict.fromkeys(notices))}.")
    paths = {part: np.array([os.fsencode(file.path) for file in files[part]]) for part in files}
    classes = {part: _labels(files[part], class_names) for part in files}

    def read(part: str, indices: Indices) -> Examples:
        if class_names is not None and classes[part] is None:
            raise ValueError(
                f"split: expected class folders in the {part!r} part of {path}, got images without labels. "
                "Move them into one folder per class, or pass labels=False."
            )
        return Examples(paths[part], classes[part]).take(indices)

    def decode(file: Any) -> Any:
        def pixels(name: bytes) -> np.ndarray:
            return read_decoded(Path(os.fsdecode(name)), image_shape, resize_to)

        image = tf.numpy_function(pixels, [file], tf.uint8, stateful=False)
        image.set_shape((*(resize_to or image_shape[:2]), image_shape[2]))
        return image

    description = Description(
        path.name,
        num_examples={part: len(files[part]) for part in files},
        image_shape=image_shape,
        class_names=class_names,
    )
    return Source(description, read, strata=lambda part: classes[part], decode=decode)


def read_decoded(
    path: Path, image_shape: tuple[int | None, int | None, int], resize_to: tuple[int, int] | None
) -> np.ndarray:
    """Return the pixels of one file; raise `ValueError` if their shape differs from the expected one."""
    pixels = read_pixels(path, resize_to, image_shape[2])
    expected = image_shape[:2] if resize_to is None else resize_to
    if pixels.shape[:2] != expected and None not in expected:
        raise ValueError(
            f"source: {path} cannot be decoded (expected {expected} pixels, as in its header, got "
            f"{pixels.shape[:2]}). Repair or remove it."
        )
    return pixels


def _part_folders(path: Path, notices: list[str]) -> dict[str, Path]:
    """Return the folder of each part; `train` is the path itself if it has no folder `train`."""
    found: dict[str, list[Path]] = {}
    others = []
    for folder in _folders(path):
        part = PARTS.get(folder.name.strip().lower())
        if part is None:
            others.append(folder.name)
        else:
            found.setdefault(part, []).append(folder)
    if "train" not in found:
        if found and not others:
            raise ValueError(
                f"source: expected a folder 'train' in {path}, got only "
                f"{', '.join(folder.name for folders in found.values() for folder in folders)}. "
                "Name the folder of the training images 'train', or pass one of these folders."
            )
        return {"train": path}
    for part, folders in found.items():
        if len(folders) > 1:
            raise ValueError(
                f"source: expected one folder of the split {part!r} in {path}, got several folders: "
                f"{', '.join(folder.name for folder in folders)}. Merge them, or rename all but one."
            )
    if others:
        notices.append(f"ignored {listed(others)} next to the folder {found['train'][0].name}")
    return {part: folders[0] for part, folders in found.items()}


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not _is_hidden(entry.name))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _HIDDEN


def _files(path: Path, notices: list[str]) -> list[_ImageFile]:
    """Return every image below the path, sorted; count all other files in `notices`."""
    images: list[_ImageFile] = []
    others: Counter[str] = Counter()
    without_images = set()

    def visit(folder: Path, names: tuple[str, ...], parents: frozenset[tuple[int, int]]) -> int:
        status = folder.stat()
        here = (status.st_dev, status.st_ino)
        if here in parents:  # a link to a folder that contains it
            return 0
        count = 0
        for entry in sorted(folder.iterdir()):
            if _is_hidden(entry.name):
                continue
            if entry.is_dir():
                inner = (*names, unicodedata.normalize("NFC", entry.name))
                count += visit(entry, inner, parents | {here})
            elif is_image_file(entry):
                images.append(_ImageFile(entry, names))
                count += 1
            else:
                others[entry.suffix.lower() or "without a suffix"] += 1
        if not count and len(names) == 1:
            without_images.add(names[0])
        return count

    visit(path, (), frozenset())
    if others:
        kinds = listed([f"{count:,} {suffix}" for suffix, count in others.most_common()])
        total = others.total()
        notices.append(f"skipped {total:,} file{'s' if total > 1 else ''}: {kinds}")
        if not others.keys().isdisjoint((".heic", ".heif")):
            notices.append("call pillow_heif.register_heif_opener() first to read .heic files")
    if without_images:
        notices.append(f"no images in {listed(sorted(without_images))}, so these are not classes")
    return sorted(images, key=lambda file: file.path)


def _no_images(folder: Path, notices: Iterable[str]) -> str:
    details = f" ({'; '.join(notices)})" if notices else ""
    return (
        "source: expected .jpg, .png, .webp, .bmp, .tiff, .gif or other image files, got no images in "
        f"{folder}{details}. Arrange them in one subfolder per class, for example cats/1.png and dogs/1.png."
    )


def _readable(
    found: Mapping[str, list[_ImageFile]], on_corrupt: OnCorrupt, notices: list[str]
) -> tuple[dict[str, list[_ImageFile]], list[Header]]:
    """Return the readable files and their headers; with `on_corrupt="skip"` all are decoded once."""
    headers: list[Header] = []
    corrupt: list[str] = []
    files: dict[str, list[_ImageFile]] = {}
    for part, listed_files in found.items():
        files[part] = []
        for file in listed_files:
            try:
                header = read_header(file.path)
                if on_corrupt == "skip":
                    read_pixels(file.path, None, 1 if header.gray else 3)
            except ValueError:
                if on_corrupt == "raise":
                    raise
                corrupt.append("/".join((*file.folders, file.path.name)))
                continue
            headers.append(header)
            files[part].append(file)
    if corrupt:
        plural = "s" if len(corrupt) > 1 else ""
        notices.append(f"skipped {len(corrupt):,} corrupt image{plural}: {listed(corrupt)}")
    return files, headers


def _class_names(
    files: Mapping[str, list[_ImageFile]], path: Path, notices: list[str]
) -> tuple[str, ...] | None:
    classes = {part: {file.class_name for file in inside} for part, inside in files.items()}
    if classes["train"] == {None}:
        return None
    for part, found in classes.items():
        if None in found and found != {None}:
            stray = next(file.path for file in files[part] if file.class_name is None)
            raise ValueError(
                f"source: expected images in class folders only, got {stray} next to the class folders of "
                f"{path}. Move it into the folder of its class, or pass labels=False."
            )
    names = {part: {str(name) for name in found} for part, found in classes.items() if found != {None}}
    for part, found_names in names.items():
        if unknown := found_names - names["train"]:
            raise ValueError(
                f"source: expected the classes of train in the {part} part of {path}, got further classes: "
                f"{listed(sorted(unknown))}. Add them to train, or remove them."
            )
        if missing := names["train"] - found_names:
            notices.append(f"the {part} part has no images of {listed(sorted(missing))}")
    _check_nesting(files, path, notices)
    class_names = tuple(sorted(names["train"]))
    notices.extend(doubtful_classes(class_names))
    return class_names


def _check_nesting(files: Mapping[str, list[_ImageFile]], path: Path, notices: list[str]) -> None:
    """Raise or warn about folders within class folders: another arrangement, or subclasses."""
    inside = [file for part in files.values() for file in part]
    nested = [file for file in inside if len(file.folders) > 1]
    if not nested:
        return
    inner = sorted({file.folders[1] for file in nested})
    outer = sorted({file.folders[0] for file in nested})
    if len(nested) == len(inside):
        _check_arrangement(nested, inner, outer, path)
    notices.append(
        f"images in folders within {listed(outer)} ({listed(inner)}) belong to the class of the outer folder"
    )


def _check_arrangement(nested: list[_ImageFile], inner: list[str], outer: list[str], path: Path) -> None:
    """Raise `ValueError` if the outer folders are not classes, or the inner ones are splits."""
    words = [set(re.split(r"[^a-z]+", name.lower())) for name in outer]
    if all(not each.isdisjoint(PARTS) for each in words):
        raise ValueError(
            f"source: expected classes, got the folders {listed(outer)} of {path}, which look like splits. "
            "Name them 'train', 'validation' and 'test', with the class folders directly in them."
        )
    if len(outer) > 1 and all(name.lower() in PARTS for name in inner):
        raise ValueError(
            f"source: expected class folders within the splits of {path}, got the splits "
            f"({', '.join(inner)}) within the class folders ({listed(outer)}). Arrange them as "
            f"train/{outer[0]}, not {outer[0]}/train."
        )
    if len(outer) == 1:
        raise ValueError(
            f"source: expected several class folders in {path}, got the one class folder {outer[0]}, which "
            f"contains only folders ({listed(inner)}). Pass "
            f"{nested[0].path.parents[len(nested[0].folders) - 1]} if these are the classes or splits, or "
            "labels=False if there are none."
        )


def _labels(files: list[_ImageFile], class_names: tuple[str, ...] | None) -> np.ndarray | None:
    if class_names is None or any(file.class_name is None for file in files):
        return None
    numbers = {name: number for number, name in enumerate(class_names)}
    return np.array([numbers[str(file.class_name)] for file in files], np.int32)


def _image_shape(headers: list[Header]) -> tuple[int | None, int | None, int]:
    channels = 1 if all(header.gray for header in headers) else 3
    sizes = {(header.height, header.width) for header in headers}
    if len(sizes) > 1:
        return None, None, channels
    ((height, width),) = sizes
    return height, width, channels
