"""A folder of images, one sub-folder a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from keras_dl.data.source import Description, Examples, Indices, Source

_SUFFIXES = {".png", ".jpg", ".jpeg", ".gif"}  # what TensorFlow decodes into any number of channels
_PARTS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


def open_folder(path: Path, image_size: tuple[int, int] | None) -> Source:
    """Images in `class/*.png`, or in `train/class/*.png`, `validation/class/*.png`, `test/class/*.png`.

    Classes are the sub-folders' names, sorted; hidden files and other file types are passed over. Images
    without class folders have no labels. Images are grey if all files are, and RGB otherwise.

    Args:
        path: the folder.
        image_size: (H, W) that images are resized to while they are read, should they differ in size.

    Raises:
        ValueError: there are no images, a file is broken, or parts have different classes.
    """
    folders = {_PARTS[folder.name]: folder for folder in _folders(path) if folder.name in _PARTS}
    if "train" not in folders:
        folders = {"train": path}
    files = {part: _files(folder) for part, folder in folders.items()}
    if not all(files.values()):
        empty = next(folders[part] for part in folders if not files[part])
        raise ValueError(
            f"source: no images in {empty}. Expected {', '.join(sorted(_SUFFIXES))} files in one sub-folder "
            "a class, for example cats/1.png and dogs/1.png."
        )
    class_names = _class_names(files, path)
    labels = {
        part: None
        if class_names is None
        else np.array([class_names.index(c) for c, _ in files[part]], np.int32)
        for part in files
    }
    paths = {part: np.array([str(file) for _, file in files[part]]) for part in files}
    image_shape = _image_shape([file for part in files.values() for _, file in part])
    resize_to = image_size if None in image_shape else None

    def read(part: str, indices: Indices) -> Examples:
        return Examples(paths[part], labels[part]).take(indices)

    def decode(file: Any) -> Any:
        image = tf.io.decode_image(tf.io.read_file(file), channels=image_shape[2], expand_animations=False)
        return as_uint8_image(image, image_shape, resize_to)

    description = Description(
        path.name,
        num_examples={part: len(files[part]) for part in files},
        image_shape=image_shape,
        class_names=class_names,
    )
    return Source(description, read, strata=lambda part: labels[part], decode=decode)


def as_uint8_image(image: Any, image_shape: tuple[int | None, ...], resize_to: tuple[int, int] | None) -> Any:
    """A decoded image with its static shape; resized where images differ in size, or they would not batch."""
    image.set_shape(image_shape)
    if resize_to is None:
        return image
    resized = tf.image.resize(image, resize_to, method="bilinear", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def _folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def _files(path: Path) -> list[tuple[str | None, Path]]:
    """(class, file) of every image; the class is the first sub-folder below the path."""
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    return [(file.relative_to(path).parts[0] if file.parent != path else None, file) for file in found]


def _class_names(files: dict[str, list[tuple[str | None, Path]]], path: Path) -> tuple[str, ...] | None:
    classes = {part: {c for c, _ in listed} for part, listed in files.items()}
    if all(found == {None} for found in classes.values()):
        return None
    stray = next((file for listed in files.values() for c, file in listed if c is None), None)
    if stray is not None:
        raise ValueError(
            f"source: {stray} lies beside the class folders of {path}. Move it into the folder of its class."
        )
    for part, found in classes.items():
        if found - classes["train"]:
            unknown = ", ".join(sorted(str(c) for c in found - classes["train"]))
            raise ValueError(
                f"source: the {part} part of {path} has classes that train has not: {unknown}. "
                "Add them to train, or remove them."
            )
    return tuple(sorted(str(c) for c in classes["train"]))


def _image_shape(files: list[Path]) -> tuple[int | None, int | None, int]:
    sizes, modes = set(), set()
    for file in files:
        try:
            with Image.open(file) as image:  # reads the header alone
                sizes.add(image.size)
                modes.add(image.mode)
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(
                f"source: {file} cannot be read as an image ({error}). Repair or remove it."
            ) from None
    channels = 1 if modes <= {"1", "L", "I", "I;16"} else 3
    if len(sizes) > 1:
        return None, None, channels
    ((width, height),) = sizes
    return height, width, channels
