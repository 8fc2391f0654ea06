"""Data sets of TensorFlow Datasets, found prepared or downloaded."""

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
    """A TFDS data set of images (with or without classes), or of text alone.

    Args:
        name: TFDS's name, with config and version if need be (`mnist`, `mnist:3.0.1`).
        data_dir: where prepared sets are kept; by default `TFDS_DATA_DIR`, or else TFDS's own folder.
        image_size: (H, W) that images are resized to while they are read, should they differ in size or be
            larger.
        sequence_length: T of the windows that a text is cut into.

    Raises:
        LookupError: TFDS knows no such set.
        ConnectionError: it is not prepared and cannot be downloaded.
        ValueError: it holds neither images nor text.
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
    """A set of images as its files hold it.

    Attributes:
        sizes: examples of each part.
        read: (part, first, last) -> those examples, encoded: (image,) or (image, label).
        decode: one such example -> the same with uint8 pixels (H, W, C) and an int32 label.
        told: the set's name and version, and how many examples each file has.
    """

    sizes: Mapping[str, int]
    read: Callable[[str, int, int], tf.data.Dataset]
    decode: Callable[..., Any]
    told: str


def open_files(
    name: str, *, data_dir: str | os.PathLike[str] | None, image_size: tuple[int, int] | None, labels: bool
) -> Files:
    """A TFDS set of images that is read from its files as one goes.

    Args:
        name: TFDS's name.
        data_dir: where prepared sets are kept.
        image_size: (H, W) that images are resized to, should they differ in size or be larger.
        labels: whether each image comes with its class.

    Raises:
        LookupError, ConnectionError: as `open_tfds`.
        ValueError: it holds no images, or no classes where they are asked for.
    """
    import tensorflow_datasets as tfds

    builder = _prepared(_builder(name, None if data_dir is None else os.fspath(data_dir)), name)
    features = builder.info.features
    image_key, label_key = _image_and_label(features, name)
    if labels and label_key is None:
        raise ValueError(f"labels: {name} has no labels. Pass labels=False for the images alone.")
    image_shape = features[image_key].shape
    resize_to = size_to_read(image_shape, image_size)
    keys = [image_key, *([label_key] if labels else [])]

    @tf.autograph.experimental.do_not_convert  # it would warn of TFDS's decorators on every worker
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
    """A decoded image with its static shape, resized."""
    image.set_shape(image_shape)
    if resize_to is None:
        return image
    resized = tf.image.resize(image, resize_to, method="bilinear", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def _builder(name: str, data_dir: str | None) -> Any:
    import tensorflow_datasets as tfds  # slow to import, and needed by these sets alone

    try:
        if not re.match(r"\w+([/:]|$)", name):  # TFDS would explain its grammar of names
            raise tfds.core.registered.DatasetNotFoundError
        return tfds.builder(name, data_dir=data_dir or os.environ.get("TFDS_DATA_DIR"))
    except tfds.core.registered.DatasetNotFoundError:
        meant = did_you_mean(name, ["digits", *tfds.list_builders()], 5)
        raise LookupError(
            f"source: there is no data set, file or folder {name!r}.{meant} Expected 'digits', a name of "
            "TensorFlow Datasets such as 'mnist', the path of a folder of images, a .csv or a text file, or "
            "arrays."
        ) from None
    except (ValueError, AssertionError) as error:  # what TFDS raises for a config or a version
        raise ValueError(
            f"source: TensorFlow Datasets knows {name!r} but not with that config or version. It says: "
            f"{error} Choose one that it lists, or leave both out."
        ) from None


def _prepared(builder: Any, name: str) -> Any:
    """The builder with its data on disk; TFDS is asked to download only where the servers answer."""
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
    """What TFDS knows of the files to download: address -> size and checksum."""
    return builder.url_infos or {}


def _unavailable(builder: Any, name: str, reason: str) -> str:
    size = sum(info.size for info in _downloads(builder).values()) / 2**20
    return (
        f"source: {name!r} is not prepared in {builder.data_dir}, and {reason}. Connect to the network and "
        f"load it again ({f'{size:,.1f} MiB' if size else 'of unstated size'} to download), or set "
        "TFDS_DATA_DIR (or data_dir=) to a folder where it is prepared. 'digits' needs no network."
    )


def _unreachable(urls: Iterable[str]) -> str | None:
    """Why a download cannot work, within seconds; TFDS itself would retry silently for minutes.

    One address a server is asked, through the proxies of the environment, as TFDS would. Threads, because
    a name look-up takes no timeout.
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
        # A fresh opener: `urlopen` keeps the proxies that the environment named at its first call.
        with urllib.request.build_opener().open(
            urllib.request.Request(url, method="HEAD"), timeout=_PROBE_SECONDS
        ):
            return None
    except urllib.error.HTTPError as error:
        return str(error) if error.code >= 500 else None  # some servers refuse HEAD and grant GET
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def _image_and_label(features: Any, name: str) -> tuple[str, str | None]:
    """The keys of the image and of the class; `image` and `label` where there are several."""
    import tensorflow_datasets as tfds

    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    classes = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    image = "image" if "image" in images else images[0] if len(images) == 1 else None
    if image is None or features[image].np_dtype != np.uint8:
        listed = ", ".join(f"{key} ({type(feature).__name__})" for key, feature in features.items())
        raise ValueError(
            f"source: {name!r} has no single uint8 image feature; its features are {listed}. Choose a set of "
            "images (and classes), or load it with tensorflow_datasets and pass arrays (x, y)."
        )
    return image, "label" if "label" in classes else classes[0] if len(classes) == 1 else None


def _columns(builder: Any, part: str, indices: Indices, keys: list[str]) -> dict[str, np.ndarray]:
    """The examples at the indices, images still encoded."""
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
    # Select before batching: features that nobody asked for need not have one shape.
    dataset = dataset.map(lambda example: {key: example[key] for key in keys}).batch(4096)
    batches = list(dataset.as_numpy_iterator())
    return {key: np.concatenate([batch[key] for batch in batches])[indices - start] for key in keys}
