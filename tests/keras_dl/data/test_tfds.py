"""TFDS sets: generated on the spot, unreachable, and (marked tfds) prepared MNIST and tiny_shakespeare."""

import http.server
import os
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_dl.data import describe, load
from keras_dl.data import tfds as ours


class _Generated(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")

    def _generate_examples(self, count):
        for number in range(count):
            yield number, self.example(number)


class StripesForTests(_Generated):
    """Gray images of one size, with classes, and an unused text beside them."""

    def _info(self):
        features = {
            "picture": tfds.features.Image(shape=(4, 6, 1)),
            "kind": tfds.features.ClassLabel(names=["even", "odd"]),
            "comment": tfds.features.Text(),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(40), "test": self._generate_examples(10)}

    def example(self, number):
        return {"picture": np.full((4, 6, 1), number, np.uint8), "kind": number % 2, "comment": "hello"}


class PatchesForTests(_Generated):
    """Color images of several sizes, without classes."""

    def _info(self):
        features = {"image": tfds.features.Image(shape=(None, None, 3))}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(12)}

    def example(self, number):
        return {"image": np.full((3 + number, 5, 3), 10 * number, np.uint8)}


class NumbersForTests(_Generated):
    def _info(self):
        features = {
            "length": tfds.features.Scalar(np.float32),
            "label": tfds.features.ClassLabel(num_classes=2),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(1)}

    def example(self, number):
        return {"length": 1.0, "label": 0}


class FarAwayForTests(StripesForTests):
    """Has to be downloaded from an address that a test chooses."""

    address = ""

    @property
    def url_infos(self):
        info = tfds.core.download.checksums.UrlInfo(size=3 * 2**20, checksum="", filename=None)
        return {type(self).address: info}


def everything(dataset):
    return [np.concatenate(column) for column in zip(*dataset.as_numpy_iterator(), strict=True)]


@pytest.mark.parametrize("cache", [True, False])
def test_any_set_with_an_image_and_a_class(tmp_path, cache):
    images, labels = everything(
        load("stripes_for_tests", "test+train[35:]", shuffle=False, cache=cache, data_dir=tmp_path)
    )
    assert images.shape == (15, 4, 6, 1)
    numbers = np.rint(images[:, 0, 0, 0] * 255).astype(int)
    assert sorted(numbers[:10]) == list(range(10))
    assert len(set(numbers[10:]) & set(range(40))) == 5
    np.testing.assert_array_equal(labels, numbers % 2)
    description = describe("stripes_for_tests", data_dir=tmp_path)
    assert description.image_shape == (4, 6, 1)
    assert description.class_names == ("even", "odd")
    assert description.num_examples == {"train": 40, "test": 10}


def test_validation_is_carved_from_train(tmp_path):
    train, validation = load("stripes_for_tests", ("train", "validation"), data_dir=tmp_path)
    seen = [set(np.rint(everything(part)[0][:, 0, 0, 0] * 255)) for part in (train, validation)]
    assert [len(part) for part in seen] == [36, 4]
    assert seen[0] | seen[1] == set(range(40))


def test_images_of_different_sizes(tmp_path):
    dataset = load("patches_for_tests", labels=False, image_size=7, data_dir=tmp_path)
    assert dataset.element_spec.shape.as_list() == [None, 7, 7, 3]
    assert sorted(np.rint(next(iter(dataset))[:, 0, 0, 0] * 255)) == [10 * number for number in range(12)]
    with pytest.raises(ValueError, match="image_size: .*the images of patches_for_tests differ in size"):
        load("patches_for_tests", labels=False, data_dir=tmp_path)


def test_no_labels(tmp_path):
    with pytest.raises(ValueError, match="labels: patches_for_tests has no labels. Pass labels=False"):
        load("patches_for_tests", image_size=7, data_dir=tmp_path)


def test_no_images(tmp_path):
    with pytest.raises(ValueError, match=r"single uint8 image feature, got the features .*length \(Scalar\)"):
        load("numbers_for_tests", data_dir=tmp_path)


def test_tfds_data_dir_may_be_set_late(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert len(load("stripes_for_tests", "test", batch_size=10)) == 1
    assert (tmp_path / "stripes_for_tests" / "1.0.0").is_dir()


def test_an_unknown_name_lists_near_ones(tmp_path):
    with pytest.raises(
        LookupError, match="source: there is no data set, file or folder 'mnits'. Did you mean .*'mnist'"
    ):
        load("mnits", data_dir=tmp_path)


def test_no_name_is_not_the_working_folder(tmp_path):
    with pytest.raises(LookupError, match="source: there is no data set, file or folder ''"):
        load("", data_dir=tmp_path)


@pytest.mark.parametrize("name", ["mnist:9.9.9", "mnist/nope"])
def test_a_wrong_config_or_version_is_named(tmp_path, name):
    with pytest.raises(ValueError, match=f"TensorFlow Datasets has '{name}', but not this config or version"):
        load(name, data_dir=tmp_path)


def test_a_plain_name_that_tfds_does_not_know_may_be_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_notes").write_text("abc" * 100)
    assert describe("my_notes").vocabulary == "abc"


def test_offline_fails_fast_with_the_remedy(tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        started = time.perf_counter()
        with pytest.raises(ConnectionError) as error:
            load("cifar10", data_dir=tmp_path)
    assert time.perf_counter() - started < 10
    message = str(error.value)
    assert f"source: 'cifar10' is not prepared in {tmp_path}" in message
    assert "www.cs.toronto.edu cannot be reached" in message
    assert "162.2 MiB" in message
    assert "TFDS_DATA_DIR" in message
    assert "'digits' needs no network" in message
    assert not any(tmp_path.iterdir())


def test_a_server_that_never_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "_PROBE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        FarAwayForTests.address = f"http://127.0.0.1:{silent.getsockname()[1]}/data.zip"
        started = time.perf_counter()
        with pytest.raises(ConnectionError, match=r"127.0.0.1:\d+ cannot be reached .*3.0 MiB to download"):
            load("far_away_for_tests", data_dir=tmp_path)
        assert time.perf_counter() - started < 5


@pytest.mark.parametrize(("status", "reachable"), [(200, True), (403, True), (405, True), (503, False)])
def test_http_statuses_that_count_as_a_response(tmp_path, status, reachable):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        FarAwayForTests.address = f"http://127.0.0.1:{server.server_port}/data.zip"
        if reachable:
            assert len(load("far_away_for_tests", batch_size=40, data_dir=tmp_path)) == 1
        else:
            with pytest.raises(ConnectionError, match="503"):
                load("far_away_for_tests", data_dir=tmp_path)
        server.shutdown()


@pytest.fixture
def prepared():
    folder = os.environ.get("TFDS_DATA_DIR", "")
    if not (folder and (Path(folder) / "mnist").is_dir() and (Path(folder) / "tiny_shakespeare").is_dir()):
        pytest.skip("TFDS_DATA_DIR names no folder with prepared mnist and tiny_shakespeare")


@pytest.mark.slow
@pytest.mark.tfds
def test_mnist_is_what_tfds_itself_reads(prepared):
    theirs = tfds.load("mnist", split="test", as_supervised=True, batch_size=-1, try_gcs=False)
    images, labels = everything(load("mnist", "test"))
    np.testing.assert_allclose(images, theirs[0].numpy() / np.float32(255), rtol=1e-6)
    np.testing.assert_array_equal(labels, theirs[1].numpy())
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.tfds
def test_mnist_slices(prepared):
    assert describe("mnist").num_examples == {"train": 60_000, "test": 10_000}
    head, tail = (everything(load("mnist", split, shuffle=False))[1] for split in ("test[:40]", "test[-60:]"))
    whole = everything(load("mnist", "test"))[1]
    np.testing.assert_array_equal(head, whole[:40])
    np.testing.assert_array_equal(tail, whole[-60:])


@pytest.mark.tfds
def test_tiny_shakespeare(prepared):
    description = describe("tiny_shakespeare")
    assert len(description.vocabulary) == 65
    assert description.num_examples == {"train": 1_003_854, "validation": 55_770, "test": 55_770}
    characters, following = next(
        iter(load("tiny_shakespeare", shuffle=False, batch_size=1).as_numpy_iterator())
    )
    assert "".join(description.vocabulary[i] for i in characters[0]).startswith(
        "First Citizen:\nBefore we proceed"
    )
    np.testing.assert_array_equal(characters[0, 1:], following[0, :-1])
