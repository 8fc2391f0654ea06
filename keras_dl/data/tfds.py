"""Data sets of TensorFlow Datasets (TFDS), already prepared or downloaded."""

from __future__ import annotations

import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_dl.data.source import Description, Examples, Indices, Source, size_to_read
from keras_dl.data.text import characters
from keras_dl_export.arguments import did_you_mean

_PROBE_SECONDS = 5.0


def open_tfds(
    name: str, *, data_dir: str | None, image_size: tuple[int, int] | None, sequence_length: int
) -> Source:
    """Open a TFDS data set of images (with or without classes), or of text only.

    Args:
        name: the name in TFDS, optionally with config and version (`mnist`, `mnist:3.0.1`).
        data_dir: the directory of prepared data sets; by default `TFDS_DATA_DIR`, or else TFDS's default.
        image_size: (H, W) to which images are resized while they are read, if they differ in size or are
            larger.
        sequence_length: T of the windows of a text.

    Raises:
        LookupError: TFDS has no such data set.
        ConnectionError: the data set is not prepared and cannot be downloaded.
        ValueError: the data set has neither images nor text.
    """
    builder = _prepared(_builder(name, data_dir), name)
    features = builder.info.features
    sizes = {part: info.num_examples for part, info in builder.info.splits.items()}
    if set(features) == {"text"}:
        texts = {
            part: b"".join(_columns(builder, part, np.arange(size), ["text"])["text"]).decode()
            for part, size in sizes.items()
        }
        return characters(name, texts, sequence_length)
    image_key, label_key = _image_and_label(features, name)
    image_shape = features[image_key].shape
    resize_to = size_to_read(image_shape, image_size)

    def read(part: str, indices: Indices) -> Examples:
        keys = [key for key in (image_key, label_key) if key is not None]
        columns = _columns(builder, part, indices, keys)
        labels = None if label_key is None else columns[label_key].astype(np.int32)
        return Examples(columns[image_key], labels)

    def decode(encoded: Any) -> Any:
        image = tf.io.decode_image(encoded, channels=image_shape[-1], expand_animations=False)
        return _as_uint8_image(image, image_shape, resize_to)

    class_names = None if label_key is None else tuple(features[label_key].names)
    description = Description(name, num_examples=sizes, image_shape=image_shape, class_names=class_names)
    return Source(description, read, decode=decode)


@dataclass(frozen=True)
class Files:
    """A data set of images that is read from its files.

    Attributes:
        sizes: the number of examples of each part.
        read: (part, first, last) -> these examples, encoded: (image,) or (image, label).
        decode: one such example -> the same with uint8 pixels (H, W, C) and an int32 label.
        identity: the name and version of the data set, and the number of examples in each file.
    """

    sizes: Mapping[str, int]
    read: Callable[[str, int, int], tf.data.Dataset]
    decode: Callable[..., Any]
    identity: str


def open_files(
    name: str, *, data_dir: str | os.PathLike[str] | None, image_size: tuple[int, int] | None, labels: bool
) -> Files:
    """Open a TFDS data set of images that is read from its files during iteration.

    Args:
        name: the name in TFDS.
        data_dir: the directory of prepared data sets.
        image_size: (H, W) to which images are resized, if they differ in size or are larger.
        labels: whether to read the class of each image.

    Raises:
        LookupError, ConnectionError: as in `open_tfds`.
        ValueError: the data set has no images, or `labels` is True and it has no classes.
    """
    import tensorflow_datasets as tfds

    builder = _prepared(_builder(name, None if data_dir is None else os.fspath(data_dir)), name)
    features = builder.info.features
    image_key, label_key = _image_and_label(features, name)
    if labels and label_key is None:
        raise ValueError(f"labels: {name} has no labels. Pass labels=False for the images only.")
    image_shape = features[image_key].shape
    resize_to = size_to_read(image_shape, image_size)
    keys = [image_key, *([label_key] if labels else [])]

    @tf.autograph.experimental.do_not_convert  # AutoGraph would warn about TFDS's decorators on every worker
    def read(part: str, first: int, last: int) -> tf.data.Dataset:
        examples = builder.as_dataset(
            split=f"{part}[{first}:{last}]",
            shuffle_files=False,
            decoders={
                key: tfds.decode.SkipDecoding()
                for key, feature in features.items()
                if isinstance(feature, tfds.features.Image)
            },
            read_config=tfds.ReadConfig(
                try_autocache=False, interleave_cycle_length=16, assert_cardinality=False
            ),
        )
        return examples.map(lambda example: tuple(example[key] for key in keys))

    def decode(encoded: Any, *label: Any) -> Any:
        image = tf.io.decode_image(encoded, channels=image_shape[-1], expand_animations=False)
        return (_as_uint8_image(image, image_shape, resize_to), *(tf.cast(each, tf.int32) for each in label))

    parts = builder.info.splits
    lengths = {part: list(info.shard_lengths) for part, info in parts.items()}
    return Files(
        {part: info.num_examples for part, info in parts.items()},
        read,
        decode,
        f"{builder.info.full_name} {lengths}",
    )


def _as_uint8_image(
    image: Any, image_shape: tuple[int | None, ...], resize_to: tuple[int, int] | None
) -> Any:
    """Return a decoded image with its static shape, resized."""
    image.set_shape(image_shape)
    if resize_to is None:
        return image
    resized = tf.image.resize(image, resize_to, method="bilinear", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def _builder(name: str, data_dir: str | None) -> Any:
    import tensorflow_datasets as tfds  # slow to import, and needed only for these data sets

    try:
        if not re.match(r"\w+([/:]|$)", name):  # TFDS would raise an error about its grammar of names
            raise tfds.core.registered.DatasetNotFoundError
        return tfds.builder(name, data_dir=data_dir or os.environ.get("TFDS_DATA_DIR"))
    except tfds.core.registered.DatasetNotFoundError:
        meant = did_you_mean(name, ["digits", *tfds.list_builders()], 5)
        raise LookupError(
            f"source: there is no data set, file or folder {name!r}.{meant} Pass 'digits', a name of "
            "TensorFlow Datasets such as 'mnist', the path of a folder of images, a .csv or a text file, or "
            "arrays."
        ) from None
    except (ValueError, AssertionError) as error:  # raised by TFDS for an unknown config or version
        raise ValueError(
            f"source: TensorFlow Datasets has {name!r}, but not this config or version: {error} Pass one "
            "that it lists, or omit both."
        ) from None


def _prepared(builder: Any, name: str) -> Any:
    """Return the builder with its data on disk, downloaded if necessary and if the servers respond."""
    if builder.is_prepared():
        return builder
    if reason := _unreachable(_downloads(builder)):
        raise ConnectionError(_unavailable(builder, name, reason))
    import tensorflow_datasets as tfds

    try:
        builder.download_and_prepare()
    except (OSError, tfds.download.DownloadError) as error:
        raise ConnectionError(_unavailable(builder, name, f"the download failed ({error})")) from error
    return builder


def _downloads(builder: Any) -> dict[str, Any]:
    """Return the files that TFDS would download: URL -> size and checksum."""
    return builder.url_infos or {}


def _unavailable(builder: Any, name: str, reason: str) -> str:
    size = sum(info.size for info in _downloads(builder).values()) / 2**20
    return (
        f"source: {name!r} is not prepared in {builder.data_dir}, and {reason}. Connect to the network and "
        f"retry ({f'{size:,.1f} MiB' if size else 'of unstated size'} to download), or set "
        "TFDS_DATA_DIR (or data_dir=) to a folder where it is prepared. 'digits' needs no network."
    )


def _unreachable(urls: Iterable[str]) -> str | None:
    """Return the reason why a download cannot work, within seconds; TFDS would retry silently for minutes.

    One URL per server is requested through the proxies of the environment, as TFDS does. Threads are used
    because a name lookup has no timeout.
    """
    servers = {urllib.parse.urlsplit(url).netloc: url for url in urls if url.startswith("http")}
    answers: dict[str, str | None] = {}

    def ask(server: str, url: str) -> None:
        answers[server] = _ask(url)

    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in servers.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PROBE_SECONDS)
    for server in servers:
        if problem := answers.get(server, f"no answer in {_PROBE_SECONDS:g} seconds"):
            return f"{server} cannot be reached ({problem})"
    return None


def _ask(url: str) -> str | None:
    try:
        # A new opener: `urlopen` caches the proxies of the environment at its first call.
        with urllib.request.build_opener().open(
            urllib.request.Request(url, method="HEAD"), timeout=_PROBE_SECONDS
        ):
            return None
    except urllib.error.HTTPError as error:
        return str(error) if error.code >= 500 else None  # some servers reject HEAD and accept GET
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def _image_and_label(features: Any, name: str) -> tuple[str, str | None]:
    """Return the keys of the image and of the class; `image` and `label` if there are several."""
    import tensorflow_datasets as tfds

    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    classes = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    image = "image" if "image" in images else images[0] if len(images) == 1 else None
    if image is None or features[image].np_dtype != np.uint8:
        listed = ", ".join(f"{key} ({type(feature).__name__})" for key, feature in features.items())
        raise ValueError(
            f"source: expected a single uint8 image feature, got the features {listed} in {name!r}. Use a "
            "data set of images (and classes), or load it with tensorflow_datasets and pass arrays (x, y)."
        )
    return image, "label" if "label" in classes else classes[0] if len(classes) == 1 else None


def _columns(builder: Any, part: str, indices: Indices, keys: list[str]) -> dict[str, np.ndarray]:
    """Return the examples at the indices, with images still encoded."""
    import tensorflow_datasets as tfds

    images = [
        key for key, feature in builder.info.features.items() if isinstance(feature, tfds.features.Image)
    ]
    indices = np.asarray(indices)
    start, stop = int(indices.min()), int(indices.max()) + 1
    dataset = builder.as_dataset(
        split=f"{part}[{start}:{stop}]",
        shuffle_files=False,
        decoders={key: tfds.decode.SkipDecoding() for key in images},
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    # Select before batching: features that are not requested may differ in shape.
    dataset = dataset.map(lambda example: {key: example[key] for key in keys}).batch(4096)
    batches = list(dataset.as_numpy_iterator())
    return {key: np.concatenate([batch[key] for batch in batches])[indices - start] for key in keys}
