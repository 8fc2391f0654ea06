"""`load` and `describe`, for sources given by name, by path or as arrays."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

import numpy as np
import tensorflow as tf

from keras_dl.data import pipeline
from keras_dl.data.folder import OnCorrupt
from keras_dl.data.memory import check_batch, fits_into_memory
from keras_dl.data.opening import Options, SourceLike, open_source
from keras_dl.data.sharding import Shard
from keras_dl.data.source import Description, Examples, Source
from keras_dl.data.splits import Selection, select
from keras_dl.renamed import renamed
from keras_dl_export.arguments import check_int

if TYPE_CHECKING:
    from keras_dl.data.batches import Dataset, LoadOptions, Tensor

    Pair = tuple[Tensor, Tensor]


@overload
def load(
    source: SourceLike,
    split: str = "train",
    batch_size: int = 128,
    *,
    labels: Literal[True] = True,
    **options: Unpack[LoadOptions],
) -> Dataset[Pair]: ...
@overload
def load(
    source: SourceLike,
    split: tuple[str, str],
    batch_size: int = 128,
    *,
    labels: Literal[True] = True,
    **options: Unpack[LoadOptions],
) -> tuple[Dataset[Pair], Dataset[Pair]]: ...
@overload
def load(
    source: SourceLike,
    split: tuple[str, str, str],
    batch_size: int = 128,
    *,
    labels: Literal[True] = True,
    **options: Unpack[LoadOptions],
) -> tuple[Dataset[Pair], Dataset[Pair], Dataset[Pair]]: ...
@overload
def load(
    source: SourceLike,
    split: list[str] | tuple[str, ...],
    batch_size: int = 128,
    *,
    labels: Literal[True] = True,
    **options: Unpack[LoadOptions],
) -> tuple[Dataset[Pair], ...]: ...
@overload
def load(
    source: SourceLike,
    split: str = "train",
    batch_size: int = 128,
    *,
    labels: Literal[False],
    **options: Unpack[LoadOptions],
) -> Dataset[Tensor]: ...
@overload
def load(
    source: SourceLike,
    split: tuple[str, str],
    batch_size: int = 128,
    *,
    labels: Literal[False],
    **options: Unpack[LoadOptions],
) -> tuple[Dataset[Tensor], Dataset[Tensor]]: ...
@overload
def load(
    source: SourceLike,
    split: tuple[str, str, str],
    batch_size: int = 128,
    *,
    labels: Literal[False],
    **options: Unpack[LoadOptions],
) -> tuple[Dataset[Tensor], Dataset[Tensor], Dataset[Tensor]]: ...
@overload
def load(
    source: SourceLike,
    split: list[str] | tuple[str, ...],
    batch_size: int = 128,
    *,
    labels: Literal[False],
    **options: Unpack[LoadOptions],
) -> tuple[Dataset[Tensor], ...]: ...
@overload
def load(
    source: SourceLike,
    split: str | Sequence[str] = "train",
    batch_size: int = 128,
    *,
    labels: bool,
    **options: Unpack[LoadOptions],
) -> Any: ...
@renamed(shard="share")
def load(
    source: SourceLike,
    split: str | Sequence[str] = "train",
    batch_size: int = 128,
    *,
    labels: bool = True,
    image_size: int | tuple[int, int] | None = None,
    sequence_length: int = 100,
    label_column: str = "label",
    separator: str | None = None,
    encoding: str | None = None,
    drop: str | Sequence[str] = (),
    max_classes: int | None = None,
    on_corrupt: OnCorrupt = "raise",
    shuffle: bool | None = None,
    seed: int | None = None,
    epoch: int = 0,
    drop_remainder: bool = False,
    cache: bool | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    shard: Shard | None = None,
) -> Any:
    """Return batches of a data set: `(image, label)`, image float32 (B, H, W, C) in [0, 1], label int32 (B,).

    The batches of tables and 2D arrays are `(features, label)`, features float32 (B, D); those of text are
    `(characters, next characters)`, both int32 (B, T).

        >>> model.fit(load("digits", seed=0), epochs=10)
        >>> train, validation = load("mnist", ("train", "validation"))
        >>> load("photos/", image_size=64, labels=False)   # subfolders are classes
        >>> load((x, y), "train[:90%]")

    **Splits.** A split is one that the data set has (`describe(source).num_examples`), or a slice of one in
    the notation of TFDS: `train[:55000]`, `train[90%:]`, `train[:80%]+train[90%:]`. For several splits the
    result is a tuple of data sets. If requested together with `train`, a missing `validation` or `test` is a
    fixed tenth of `train`, and `train` is the rest; neither takes examples from a `test` that the data set
    has. Arrays, CSV files, texts and folders without a `train/` have only the split `train`.

    **Labels** are numbered 0 ... K-1 in the order of `describe(source).class_names`: class folders, or the
    distinct values of a column or array of labels, names in alphabetical and integers in ascending order.
    Labels that are already 0 ... K-1 keep their numbers, as do those of TensorFlow Datasets.

    **Warnings.** Data that may be read differently than intended is reported in one `DataWarning`: skipped
    files, classes without images, an index among the features.

    **Order.** Each pass over the data set is an epoch with its own order, which depends only on
    `(seed, epoch)`. To resume training after k epochs, load with `epoch=k`: the passes are then those of
    epochs k, k+1, ... of the uninterrupted run. Incomplete passes count, too.

    Args:
        source: `digits` (embedded), a name of TensorFlow Datasets (`mnist`, `tiny_shakespeare`, ...), the
            path of a folder of images, a table (.csv, .tsv, .parquet), arrays (.npz, .npy) or a text file; or
            arrays: x, (x, y), {"image": x, "label": y}; or a data frame. A plain name that is both a data set
            and a file selects the data set; pass `./name` for the file.
        split: the split or splits.
        batch_size: B.
        labels: False omits the labels.
        image_size: the side, or (height, width), to which images are resized.
        sequence_length: T, for text.
        label_column: the column of the labels in a table; with labels=False it is omitted.
        separator: the character between the cells of a CSV file; by default a comma, or a tab for a .tsv
            file.
        encoding: the encoding of a CSV or text file, such as "latin-1"; by default UTF-8, or UTF-16 with a
            byte order mark.
        drop: the column or columns of a table to omit.
        max_classes: the largest number of classes in a column or array of labels; by default 1,000. Integers
            with few examples each look like measurements and are refused unless it is given.
        on_corrupt: "raise" raises an error for the first image file that cannot be read; "skip" skips all
            such files and counts them in a `DataWarning`, for which each file is decoded one more time.
        shuffle: shuffle the examples; by default for `train` and its slices.
        seed: the seed of the order; by default drawn from Python's generator, which
            `keras.utils.set_random_seed` seeds.
        epoch: the number of the first pass.
        drop_remainder: omit a last, smaller batch, so that all have the static size B.
        cache: keep decoded images in memory; False decodes them at every pass. By default they are kept if
            they take, at `image_size`, at most a quarter of the machine's memory.
        data_dir: the directory of the TFDS data sets; by default `TFDS_DATA_DIR`.
        shard: the replicas of one worker among several. The data set then yields, for each global batch of B,
            the part of each of these replicas in turn, and repeats endlessly. All workers together see the
            examples of a single one. Requires a seed.

    Raises:
        ValueError: an argument or the data is invalid.
        LookupError: there is no such data set, file or folder.
        ConnectionError: the data set is neither prepared nor downloadable.
    """
    _check_at_least(1, batch_size=batch_size, sequence_length=sequence_length)
    _check_at_least(0, epoch=epoch, seed=0 if seed is None else seed)
    size = height_and_width(image_size)
    opened = open_source(
        source,
        Options(
            image_size=size,
            sequence_length=sequence_length,
            labels=labels,
            label_column=label_column,
            separator=separator,
            encoding=encoding,
            drop=drop,
            max_classes=max_classes,
            on_corrupt=on_corrupt,
            data_dir=data_dir,
        ),
    )
    _check_fits(opened, labels=labels, image_size=size)
    splits = _names(split)
    selections = select(
        splits, opened.description.num_examples, name=opened.description.name, strata=opened.strata
    )
    if seed is None and shard is not None:
        raise ValueError(
            "seed: expected a number together with `shard`, because all workers must use the same order, got "
            "None. Pass the same seed on every worker."
        )
    if seed is None:
        seed = random.randrange(2**31)
    if cache is None:
        num_examples = sum(len(indices) for selection in selections for _, indices in selection)
        cache = opened.decode is None or fits_into_memory(opened.description, num_examples, size)
    if opened.decode is not None:
        check_batch(opened.description, batch_size, size)

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
                f"batch_size: expected at most the {len(examples.features):,} examples of {split!r} of "
                f"{opened.description.name}, got {batch_size}; drop_remainder=True would leave no batch. "
                "Pass a smaller batch_size."
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
            shard=shard,
        )

    datasets = tuple(dataset(*pair) for pair in zip(splits, selections, strict=True))
    return datasets[0] if isinstance(split, str) else datasets


def describe(
    source: SourceLike,
    *,
    labels: bool = True,
    image_size: int | tuple[int, int] | None = None,
    label_column: str | None = "label",
    separator: str | None = None,
    encoding: str | None = None,
    drop: str | Sequence[str] = (),
    max_classes: int | None = None,
    on_corrupt: OnCorrupt = "raise",
    data_dir: str | os.PathLike[str] | None = None,
) -> Description:
    """Return the description of a data set: the shapes and classes needed to build a model for it.

        >>> describe("digits").image_shape
        (8, 8, 1)

    Args:
        source: as for `load`.
        labels: as for `load`; with False there are no class names, and a folder needs no class folders.
        image_size: as for `load`; it determines the image_shape of the description.
        label_column: the column of the labels in a table; None if there is none.
        separator: as for `load`.
        encoding: as for `load`.
        drop: as for `load`.
        max_classes: as for `load`.
        on_corrupt: as for `load`.
        data_dir: as for `load`.

    Raises:
        ValueError, LookupError, ConnectionError: as for `load`.
    """
    size = height_and_width(image_size)
    options = Options(
        image_size=size,
        labels=labels,
        label_column=label_column,
        separator=separator,
        encoding=encoding,
        drop=drop,
        max_classes=max_classes,
        on_corrupt=on_corrupt,
        data_dir=data_dir,
    )
    description = open_source(source, options).description
    if size is None or description.image_shape is None:
        return description
    return dataclasses.replace(description, image_shape=(*size, description.image_shape[2]))


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
            f"labels: {description.name} has no labels. Pass labels=False for the features only, or provide "
            "labels: arrays (x, y), one subfolder per class, or a label column."
        )
    if image_size is None and description.image_shape is not None and None in description.image_shape:
        raise ValueError(
            f"image_size: expected a size, because the images of {description.name} differ in size, got "
            "None. Pass the size to resize them to, for example image_size=64."
        )
    if image_size is not None and description.image_shape is None:
        raise ValueError(
            f"image_size: expected None, because {description.name} has no images, got {image_size}. Omit "
            "image_size."
        )


def _names(split: str | Sequence[str]) -> tuple[str, ...]:
    names = (split,) if isinstance(split, str) else tuple(split) if isinstance(split, list | tuple) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"split: expected the name of a split, or a list of names, got {split!r}. Pass for example "
            "'train', or ('train', 'validation')."
        )
    return names


def height_and_width(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return one side, or (height, width), as (height, width); None is returned unchanged.

    Raises:
        ValueError: `image_size` is neither, or a side is not a positive int.
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
        check_int(name, value, least)
