"""Data sets streamed from their files: every example once, for any readers."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow.python.autograph.impl import conversion
from tensorflow.python.autograph.pyct import cache

from keras_dl.data import Shard, stream, streamed_files
from keras_dl.data import tfds as ours

COUNT = 101


class ShardsForTests(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images that tell their numbers, in seven files."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> Any:
        features = {
            "image": tfds.features.Image(shape=(4, 4, 1)),
            "label": tfds.features.ClassLabel(num_classes=COUNT),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> Any:
        return {"train": self._generate_examples(COUNT), "test": self._generate_examples(10)}

    def _generate_examples(self, count: int) -> Any:
        for number in range(count):
            yield number, {"image": np.full((4, 4, 1), number, np.uint8), "label": number}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tfds")
    builder = ShardsForTests(data_dir=folder)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=7), file_format="tfrecord"
    )
    assert builder.info.splits["train"].num_shards == 7
    return builder


@pytest.fixture(autouse=True)
def found(prepared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "_builder", lambda name, data_dir: prepared)


def numbers(batches: Any) -> list[list[int]]:
    found = []
    for image, label in batches:
        np.testing.assert_array_equal(np.round(np.asarray(image)[:, 0, 0, 0] * 255), label)
        found.append(np.asarray(label).tolist())
    return found


def flat(batches: list[list[int]]) -> list[int]:
    return [number for batch in batches for number in batch]


def test_a_pass_has_every_example_once_in_another_order() -> None:
    batches = stream("shards", batch_size=16, seed=3)
    assert len(batches) == 7
    first, second = numbers(batches), numbers(batches)
    assert [len(batch) for batch in first] == [16] * 6 + [5]
    for each in (first, second):
        assert sorted(flat(each)) == list(range(COUNT))
    assert first != second
    assert numbers(stream("shards", batch_size=16, seed=3, epoch=1)) == second
    (images, *_), features = next(iter(batches)), batches.element_spec[0]
    assert images.dtype == tf.float32
    assert features.shape[1:] == (4, 4, 1)


def test_no_thread_tunes_it() -> None:
    assert stream("shards", batch_size=16).options().autotune.enabled is False


def test_the_order_is_that_of_the_seed_alone() -> None:
    orders = []
    for seed in (0, 1):
        tf.random.set_seed(seed)
        orders.append(numbers(stream("shards", batch_size=16, seed=3)))
    assert orders[0] == orders[1] != numbers(stream("shards", batch_size=16, seed=4))


def test_unshuffled_slices_keep_the_order_within_their_files() -> None:
    batches = stream("shards", "train[10:50]", 10, shuffle=False)
    assert numbers(batches) == numbers(batches)
    assert len(flat(numbers(batches))) == 40
    assert flat(numbers(stream("shards", "test", 4))) == flat(numbers(stream("shards", "test", 10)))


@pytest.mark.parametrize("workers", [[1, 1], [2, 1], [1] * 7, [3, 3, 2]])
def test_replicas_share_a_pass_out(workers: list[int]) -> None:
    """Each pass anew, with as many steps for every replica, two passes long."""
    of = sum(workers)
    size = 2 * of
    steps = math.ceil(math.ceil(COUNT / of) / 2)
    passes: list[list[int]] = [[], []]
    for index, count in enumerate(workers):
        shard = Shard(sum(workers[:index]), count, of)
        batches = numbers(stream("shards", batch_size=size, shard=shard).take(2 * steps * count))
        for number in (0, 1):
            mine = batches[number * steps * count : (number + 1) * steps * count]
            assert len(mine) == steps * count
            assert max(map(len, mine)) == 2
            passes[number] += flat(mine)
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(COUNT))
    assert passes[0] != passes[1]


def test_a_replica_opens_its_own_files_alone(
    prepared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With seven replicas for seven files each still has its examples when the others' files are gone."""
    counts = prepared.info.splits["train"].shard_lengths
    bounds = np.cumsum([0, *counts])
    steps = math.ceil(COUNT / 7)
    found = []
    for replica in range(7):
        folder = tmp_path / str(replica)
        shutil.copytree(prepared.data_dir, folder)
        first, last = COUNT * replica // 7, COUNT * (replica + 1) // 7
        for shard, file in enumerate(sorted(folder.glob("*-train.tfrecord-*"))):
            if bounds[shard] >= last or bounds[shard + 1] <= first:
                file.unlink()
        assert len(list(folder.glob("*-train.tfrecord-*"))) <= 2
        builder = tfds.builder_from_directory(folder)
        monkeypatch.setattr(ours, "_builder", lambda name, data_dir, builder=builder: builder)
        shard = Shard(replica, 1, 7)
        found += flat(numbers(stream("shards", batch_size=7, shard=shard).take(steps)))
    assert sorted(found) == list(range(COUNT))
    with pytest.raises(tf.errors.NotFoundError):
        list(stream("shards"))


def test_the_service_reads_every_example_once() -> None:
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=0))
    address = dispatcher.target.split("://")[1]
    workers = [service.WorkerServer(service.WorkerConfig(dispatcher_address=address)) for _ in range(2)]
    batches = stream("shards", batch_size=16, service=dispatcher.target)
    found = numbers(batches)
    assert sorted(flat(found)) == list(range(COUNT))
    assert [len(batch) for batch in found] == [16] * 6 + [5]
    del workers


def test_equal_files_have_equal_descriptions(
    prepared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = streamed_files("shards")
    assert described == streamed_files("shards")
    assert "shards_for_tests/1.0.0" in described
    assert str(prepared.info.splits["train"].shard_lengths) in described
    other = ShardsForTests(data_dir=tmp_path)
    other.download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=3), file_format="tfrecord"
    )
    monkeypatch.setattr(ours, "_builder", lambda name, data_dir: other)
    assert streamed_files("shards") != described


def test_autograph_prints_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its warnings would come from every worker."""
    monkeypatch.setattr(conversion, "_ALLOWLIST_CACHE", cache.UnboundInstanceCache())  # warned once a process
    said: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = said.append  # type: ignore[method-assign]
    tf.get_logger().addHandler(handler)
    try:
        for shard in (None, Shard(0, 1, 7)):
            next(iter(stream("shards", batch_size=7, shard=shard)))
    finally:
        tf.get_logger().removeHandler(handler)
    assert [record.getMessage() for record in said] == []


def test_sources_that_cannot_be_streamed_are_refused() -> None:
    with pytest.raises(ValueError, match="split: expected one range of examples, got 'train.:5.\\+test'"):
        stream("shards", "train[:5]+test")
    with pytest.raises(ValueError, match="batch_size: expected a multiple of the 2 replicas, got 5"):
        stream("shards", batch_size=5, shard=Shard(0, 1, 2))
