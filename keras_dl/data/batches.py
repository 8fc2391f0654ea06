"""The types of data sets and batches, for type checkers: TensorFlow ships no types."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypedDict, TypeVar

import tensorflow as tf

from keras_dl.data.folder import OnCorrupt
from keras_dl.data.sharding import Shard

if TYPE_CHECKING:
    Batch = TypeVar("Batch", covariant=True)

    class Tensor(tf.Tensor):
        """One array of a batch. To iterate over its rows, convert it by `.numpy()`."""

        __iter__: None  # so that `for image, label in load(..., labels=False)` is an error

    class Dataset(tf.data.Dataset, Generic[Batch]):
        """A `tf.data.Dataset` of such batches."""

        def __iter__(self) -> Iterator[Batch]: ...
        def __len__(self) -> int: ...
        def take(self, count: int) -> Dataset[Batch]: ...
        def skip(self, count: int) -> Dataset[Batch]: ...
        def repeat(self, count: int | None = None) -> Dataset[Batch]: ...


class LoadOptions(TypedDict, total=False):
    """The arguments of `load` that do not change the type of what it returns."""

    image_size: int | tuple[int, int] | None
    sequence_length: int
    label_column: str
    separator: str | None
    encoding: str | None
    drop: str | Sequence[str]
    max_classes: int | None
    on_corrupt: OnCorrupt
    shuffle: bool | None
    seed: int | None
    epoch: int
    drop_remainder: bool
    cache: bool | None
    data_dir: str | os.PathLike[str] | None
    shard: Shard | None
