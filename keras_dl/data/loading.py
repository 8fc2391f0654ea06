"""`load` and `describe`: any source, by name, path or arrays."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_dl.data import pipeline
from keras_dl.data.arrays import open_arrays
from keras_dl.data.digits import open_digits
from keras_dl.data.folder import open_folder
from keras_dl.data.share import Share
from keras_dl.data.source import Description, Examples, Source
from keras_dl.data.splits import Selection, select
from keras_dl.data.table import open_csv
from keras_dl.data.text import open_text
from keras_dl.data.tfds import open_tfds

SourceLike = str | os.PathLike[str] | ArrayLike | tuple[ArrayLike, ArrayLike]


def load(
    source: SourceLike,
    split: str | Sequence[str] = "train",
    batch_size: int = 128,
    *,
    labels: bool = True,
    image_size: int | tuple[int, int] | None = None,
    sequence_length: int = 100,
    label_column: str = "label",
    shuffle: bool | None = None,
    seed: int | None = None,
    epoch: int = 0,
    drop_remainder: bool = False,
    cache: bool = True,
    data_dir: str | os.PathLike[str] | None = None,
    share: Share | None = None,
) -> tf.data.Dataset | Any:
    """Batches of a data set: `(image, label)`, image float32 (B, H, W, C) in [0, 1], label int32 (B,).

    Tables and 2-D arrays give `(features, label)`, features float32 (B, D). Text gives
    `(characters, next characters)`, both int32 (B, T).

        >>> model.fit(load("digits", seed=0), epochs=10)
        >>> train, validation = load("mnist", ("train", "validation"))
        >>> load("photos/", image_size=64, labels=False)   # sub-folders are classes
        >>> load((x, y), "train[:90%]")

    **Splits.** A split that the set has (`describe(source).num_examples`), or a slice of one as TFDS writes
    it: `train[:55000]`, `train[90%:]`, `train[:80%]+train[90%:]`. Several splits give a tuple of as many data
    sets. Asked for together with `train`, a `validation` or `test` that the set lacks is a fixed tenth of
    `train`, and `train` is the rest; neither ever touches a `test` that the set has. Arrays, CSV files, texts
    and folders without a `train/` have the split `train` alone.

    **Order.** Each pass over the data set is an epoch with its own order, decided by `(seed, epoch)` and
    nothing else. To go on with a training after k epochs, load with `epoch=k`: the passes are then those of
    epochs k, k+1, ... of the uninterrupted run. Any pass counts, also one broken off.

    Args:
        source: `digits` (embedded), a name of TensorFlow Datasets (`mnist`, `tiny_shakespeare`, ...), the
            path of a folder of images, a .csv or a UTF-8 text file, or arrays: x, or (x, y). A plain name
            that is both a data set and a file is the data set; write `./name` for the file.
        split: the split or splits.
        batch_size: B.
        labels: False gives the features alone.
        image_size: resize images to this side, or to (height, width).
        sequence_length: T, for text.
        label_column: the labels' column in a CSV file; with labels=False it is left out.
        shuffle: mix the examples; by default for `train` and its slices.
        seed: of the order; by default drawn from Python's generator, which `keras.utils.set_random_seed`
            seeds.
        epoch: the number of the first pass.
        drop_remainder: leave out a last, smaller batch, so that all have the static size B.
        cache: keep decoded images in memory. False keeps them encoded and decodes them at every pass.
        data_dir: where TFDS keeps its sets, by default `TFDS_DATA_DIR`.
        share: the replicas of one worker among several: a batch of each of them in turn, of every global
            batch of B, pass after pass without end. All workers together see what one would. Needs a seed.

    Raises:
        ValueError: an argument or the data is not what it must be.
        LookupError: there is no such data set, file or folder.
        ConnectionError: the data set is neither prepared nor downloadable.
    """
    _check_at_least(1, batch_size=batch_size, sequence_length=sequence_length)
    _check_at_least(0, epoch=epoch, seed=0 if seed is None else seed)
    size = height_and_width(image_size)
    opened = _open(
        source,
        image_size=size,
        sequence_length=sequence_length,
        label_column=label_column,
        data_dir=data_dir,
        labels=labels,
    )
    _check_fits(opened, labels=labels, image_size=size)
    splits = _names(split)
    selections = select(
        splits, opened.description.num_examples, name=opened.description.name, strata=opened.strata
    )
    if seed is None and share is not None:
        raise ValueError(
            "seed: expected a number together with `share`, because all workers must shuffle alike, got None."
            " Pass the same seed on every worker."
        )
    if seed is None:
        seed = random.randrange(2**31)

    def dataset(split: str, selection: Selection) -> tf.data.Dataset:
        examples = _read(opened, selection)
        if not labels:
            examples = Examples(examples.features, None)
        decode = opened.decode
        if decode is not None and cache:
            examples = Examples(pipeline.decoded(examples.features, decode), examples.labels)
            decode = None
        if drop_remainder and len(examples.features) < batch_size:
            raise ValueError(
                f"batch_size: {split!r} of {opened.description.name} gives {len(examples.features):,} "
                f"examples, fewer than batch_size={batch_size}, and drop_remainder=True would leave none. "
                "Choose a smaller batch_size."
            )
        return pipeline.batches(
            examples,
            batch_size,
            decode=decode,
            image_size=size,
            shuffle=split.startswith("train") if shuffle is None else shuffle,
            seed=seed,
            epoch=epoch,
            drop_remainder=drop_remainder,
            share=share,
        )

    datasets = tuple(dataset(*pair) for pair in zip(splits, selections, strict=True))
    return datasets[0] if isinstance(split, str) else datasets


def describe(
    source: SourceLike,
    *,
    image_size: int | tuple[int, int] | None = None,
    label_column: str | None = "label",
    data_dir: str | os.PathLike[str] | None = None,
) -> Description:
    """What a data set holds: what a model must know of it before it is built.

        >>> describe("digits").image_shape
        (8, 8, 1)

    Args:
        source: as for `load`.
        image_size: the `image_size` that `load` will be given; the description's image_shape follows it.
        label_column: the labels' column in a CSV file, None where it has none.
        data_dir: where TFDS keeps its sets, by default `TFDS_DATA_DIR`.

    Raises:
        ValueError, LookupError, ConnectionError: as `load`.
    """
    size = height_and_width(image_size)
    opened = _open(source, image_size=size, sequence_length=1, label_column=label_column, data_dir=data_dir)
    description = opened.description
    if size is None or description.image_shape is None:
        return description
    return dataclasses.replace(description, image_shape=(*size, description.image_shape[2]))


def _open(
    source: SourceLike,
    *,
    image_size: tuple[int, int] | None,
    sequence_length: int,
    label_column: str | None,
    data_dir: str | os.PathLike[str] | None,
    labels: bool = True,
) -> Source:
    if not isinstance(source, str | os.PathLike):
        return open_arrays(*source) if isinstance(source, tuple) and len(source) == 2 else open_arrays(source)
    if source == "digits":
        return open_digits()
    path = Path(source).expanduser()
    is_path = isinstance(source, os.PathLike) or path.suffix or len(path.parts) > 1 or source.endswith(os.sep)
    if not (is_path and path.exists()):
        if isinstance(source, os.PathLike) or path.suffix in (".csv", ".tsv", ".txt"):
            raise FileNotFoundError(
                f"source: there is no file or folder {path}. Give the path of one that exists."
            )
        try:
            return open_tfds(
                str(source),
                data_dir=None if data_dir is None else os.fspath(data_dir),
                image_size=image_size,
                sequence_length=sequence_length,
            )
        except LookupError:
            if not (source and path.exists()):
                raise
    if path.is_dir():
        return open_folder(path, image_size)
    if path.suffix.lower() in (".csv", ".tsv"):
        return open_csv(path, label_column, labels)
    return open_text(path, sequence_length)


def _read(source: Source, selection: Selection) -> Examples:
    pieces = [source.read(part, indices) for part, indices in selection if len(indices)]
    if len(pieces) == 1:
        return pieces[0]
    labels = [piece.labels for piece in pieces if piece.labels is not None]
    return Examples(
        np.concatenate([piece.features for piece in pieces]), np.concatenate(labels) if labels else None
    )


def _check_fits(source: Source, *, labels: bool, image_size: tuple[int, int] | None) -> None:
    description = source.description
    if labels and description.class_names is None and description.vocabulary is None:
        raise ValueError(
            f"labels: {description.name} has no labels. Pass labels=False for the features alone, or give "
            "labels: arrays (x, y), one sub-folder a class, a label column."
        )
    if image_size is None and description.image_shape is not None and None in description.image_shape:
        raise ValueError(
            f"image_size: the images of {description.name} differ in size and cannot be batched as they are. "
            "Give the size to bring them to, for example image_size=64."
        )
    if image_size is not None and description.image_shape is None:
        raise ValueError(f"image_size: {description.name} holds no images. Leave image_size out.")


def _names(split: str | Sequence[str]) -> tuple[str, ...]:
    names = (split,) if isinstance(split, str) else tuple(split) if isinstance(split, list | tuple) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"split: expected the name of a split, or several, got {split!r}. Pass for example 'train', or "
            "('train', 'validation')."
        )
    return names


def height_and_width(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """One side, or (height, width), as (height, width); None stays.

    Raises:
        ValueError: it is neither, or a side is no positive int.
    """
    if image_size is None:
        return None
    sides = tuple(image_size) if isinstance(image_size, list | tuple) else (image_size, image_size)
    if len(sides) != 2:
        raise ValueError(
            f"image_size: expected one side or (height, width), got {image_size!r}. "
            "Pass for example image_size=28."
        )
    for side in sides:
        _check_at_least(1, image_size=side)
    return sides


def _check_at_least(least: int, **arguments: Any) -> None:
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(
                f"{name}: expected a whole number of at least {least}, got {value!r}. "
                f"Pass such a number as {name}=."
            )
