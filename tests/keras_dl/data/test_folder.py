import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from keras_dl.data import DataWarning, describe, load, memory


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def only_batch(source, **options):
    (batch,) = load(source, shuffle=False, **options).as_numpy_iterator()
    return batch


def image(value, shape=(6, 8)):
    return np.full(shape, value, np.uint8)


@pytest.fixture
def animals(tmp_path):
    """Write gray images of distinct values: cats 10, 11, ...; dogs 100, 101, ..."""
    for number in range(20):
        save(tmp_path / "cats" / f"{number:02}.png", image(10 + number))
        save(tmp_path / "dogs" / f"{number:02}.png", image(100 + number))
    (tmp_path / "cats" / ".hidden.png").write_bytes(b"")
    for hidden in (".ipynb_checkpoints", "__MACOSX", "cats/@eaDir"):
        save(tmp_path / hidden / "cats" / "1.png", image(255))
    for name in ("Thumbs.db", "cats/desktop.ini"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("cache", [True, False])
def test_sub_folders_are_classes(animals, cache):
    (batch,) = load(animals, shuffle=False, cache=cache).as_numpy_iterator()
    images, labels = batch
    assert images.shape == (40, 6, 8, 1)
    expected = np.r_[10:30, 100:120]
    np.testing.assert_allclose(images[:, 0, 0, 0] * 255, expected, atol=1e-4)
    np.testing.assert_array_equal(labels, expected >= 100)
    description = describe(animals)
    assert description.class_names == ("cats", "dogs")
    assert description.image_shape == (6, 8, 1)
    assert description.num_examples == {"train": 40}


def test_decoding_at_every_pass_gives_the_same_batches_as_decoding_once(animals):
    cached, streamed = (
        list(load(animals, seed=1, batch_size=7, cache=cache).as_numpy_iterator()) for cache in (True, False)
    )
    for ours, theirs in zip(cached, streamed, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_carved_parts_hold_every_class(animals):
    for part, size in zip(load(animals, ("train", "validation", "test")), (32, 4, 4), strict=True):
        labels = np.concatenate([labels for _, labels in part.as_numpy_iterator()])
        assert np.bincount(labels).tolist() == [size // 2] * 2


def test_train_validation_and_test_folders_are_splits(tmp_path):
    for part, value in (("train", 1), ("val", 2), ("test", 3)):
        save(tmp_path / part / "a" / "1.png", image(value))
        save(tmp_path / part / "b" / "1.png", image(value + 50))
    assert describe(tmp_path).num_examples == {"train": 2, "validation": 2, "test": 2}
    for part, value in (("train", 1), ("validation", 2), ("test", 3)):
        (batch,) = load(tmp_path, part, shuffle=False).as_numpy_iterator()
        np.testing.assert_allclose(batch[0][:, 0, 0, 0] * 255, [value, value + 50], atol=1e-4)


def test_color_images_of_different_sizes_are_resized_while_read(tmp_path):
    save(tmp_path / "a" / "1.png", image(7, (4, 4)))
    save(tmp_path / "a" / "2.jpg", np.full((9, 5, 3), 200, np.uint8))
    assert describe(tmp_path).image_shape == (None, None, 3)
    assert describe(tmp_path, image_size=6).image_shape == (6, 6, 3)
    with pytest.raises(ValueError, match="image_size: .*the images of .* differ in size"):
        load(tmp_path)
    for cache in (True, False):
        dataset = load(tmp_path, image_size=6, shuffle=False, cache=cache)
        assert dataset.element_spec[0].shape.as_list() == [None, 6, 6, 3]
        (batch,) = dataset.as_numpy_iterator()
        np.testing.assert_allclose(batch[0][0] * 255, 7, atol=1e-4)
        np.testing.assert_allclose(batch[0][1] * 255, 200, atol=1.5)


def test_images_without_class_folders_have_no_labels(tmp_path):
    save(tmp_path / "1.png", image(5))
    assert load(tmp_path, labels=False).element_spec.shape.as_list() == [None, 6, 8, 1]
    assert describe(tmp_path).num_classes is None
    with pytest.raises(ValueError, match=r"has no labels. Pass labels=False"):
        load(tmp_path)


def test_a_folder_without_images(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_text("")
    with pytest.raises(ValueError, match=rf"source: .*no images in {tmp_path} \(skipped 1 file: 1 .txt"):
        load(tmp_path)


def test_an_empty_part_is_named(tmp_path):
    save(tmp_path / "train" / "a" / "1.png", image(5))
    (tmp_path / "test").mkdir()
    with pytest.raises(ValueError, match=f"source: .*no images in {tmp_path / 'test'}"):
        load(tmp_path)


def test_a_broken_header_is_named(animals):
    (animals / "cats" / "bad.png").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"source: .*cats/bad.png cannot be read as an image"):
        load(animals)


def test_a_broken_body_is_named(animals):
    whole = (animals / "cats" / "00.png").read_bytes()
    (animals / "cats" / "bad.png").write_bytes(whole[:45])
    with pytest.raises(ValueError, match=r"source: .*cats/bad.png cannot be decoded"):
        load(animals)


def test_an_image_beside_the_class_folders(animals):
    save(animals / "stray.png", image(1))
    with pytest.raises(ValueError, match=r"stray.png next to the class folders"):
        load(animals)


def test_a_class_that_train_has_not(tmp_path):
    save(tmp_path / "train" / "a" / "1.png", image(1))
    save(tmp_path / "test" / "b" / "1.png", image(1))
    with pytest.raises(ValueError, match="the test part of .*further classes: b"):
        load(tmp_path)


def test_files_that_are_no_images_are_counted_in_one_warning(animals):
    for name in ("notes.txt", "cats/labels.TXT", "dogs/paper.pdf"):
        (animals / name).write_text("not an image")
    with pytest.warns(DataWarning, match=r"skipped 3 files: 2 .txt, 1 .pdf") as warned:
        load(animals)
    assert len(warned) == 1
    assert warned[0].filename == __file__


def test_a_folder_without_anything_strange_warns_of_nothing(animals):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(animals)


@pytest.mark.parametrize("cache", [True, False])
def test_large_images_of_one_size_are_resized_as_they_are_read(tmp_path, cache):
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    save(tmp_path / "a" / "1.png", picture)
    images = only_batch(tmp_path, labels=False, image_size=(30, 33), cache=cache)
    channels = [
        np.asarray(
            Image.fromarray(picture[..., c].astype(np.float32)).resize((33, 30), Image.Resampling.BILINEAR)
        )
        for c in range(3)
    ]
    np.testing.assert_allclose(images[0] * 255, np.stack(channels, -1), atol=1.5)


def test_images_beyond_the_memory_are_decoded_at_every_pass(animals, monkeypatch):
    expected = only_batch(animals)
    size = expected[0].nbytes // 4  # in memory a pixel is a byte
    monkeypatch.setattr(memory, "_memory", lambda: 4 * size - 1)
    with pytest.warns(DataWarning, match=r"decoded at every pass.*cache=True"):
        dataset = load(animals, shuffle=False, batch_size=1)
    images, labels = (np.concatenate(parts) for parts in zip(*dataset.as_numpy_iterator(), strict=True))
    np.testing.assert_array_equal(images, expected[0])
    np.testing.assert_array_equal(labels, expected[1])


def test_batches_beyond_the_memory_are_refused(animals, monkeypatch):
    size = only_batch(animals)[0].nbytes
    monkeypatch.setattr(memory, "_memory", lambda: 4 * size)
    load(animals)
    monkeypatch.setattr(memory, "_memory", lambda: 4 * size - 1)
    with pytest.raises(ValueError, match=r"^image_size: .*quarter of the memory.*batch_size"):
        load(animals)
    load(animals, image_size=2)
    load(animals, batch_size=1)


@pytest.mark.parametrize("names", [("Train", "Test", "Val"), ("training", "TESTING", "Validation")])
def test_splits_have_their_names_in_any_case(tmp_path, names):
    for name in names:
        for label in "ab":
            save(tmp_path / name / label / "1.png", image(1))
    description = describe(tmp_path)
    assert description.class_names == ("a", "b")
    assert description.num_examples == {"train": 2, "test": 2, "validation": 2}


def test_classes_that_differ_by_case_or_spaces_raise_a_warning(tmp_path):
    for name in ("Cats", "cats", "big dogs", "big  dogs "):
        save(tmp_path / name / "1.png", image(1))
    with pytest.warns(DataWarning, match=r"'Cats', 'cats' are different") as warned:
        assert len(describe(tmp_path).class_names) == 4
    assert "'big  dogs ', 'big dogs' are different" in str(warned[0].message)


def test_two_folders_of_one_split(tmp_path):
    for name in ("train", "Training"):
        save(tmp_path / name / "a" / "1.png", image(1))
    with pytest.raises(
        ValueError, match=r"source: expected one folder of the split 'train'.*Training, train"
    ):
        describe(tmp_path)


def test_a_test_folder_without_train(tmp_path):
    for name in ("test", "val"):
        save(tmp_path / name / "a" / "1.png", image(1))
    with pytest.raises(ValueError, match=r"source: expected a folder 'train'.*got only test, val"):
        describe(tmp_path)


def test_links_are_followed_and_circles_left(tmp_path, animals):
    linked = tmp_path / "linked"
    (linked / "birds").mkdir(parents=True)
    save(linked / "birds" / "1.png", image(1))
    (linked / "cats").symlink_to(animals / "cats")
    (linked / "birds" / "again").symlink_to(linked)
    description = describe(linked)
    assert description.class_names == ("birds", "cats")
    assert description.num_examples == {"train": 21}


def test_a_link_to_nothing_is_named(animals):
    (animals / "cats" / "gone.png").symlink_to(animals / "nowhere.png")
    with pytest.raises(ValueError, match=r"source: .*gone.png .*link to a file that does not exist"):
        load(animals)


def test_a_class_without_images_raises_a_warning(animals):
    (animals / "birds").mkdir()
    with pytest.warns(DataWarning, match="no images in birds"):
        assert describe(animals).class_names == ("cats", "dogs")


def test_a_class_that_a_part_lacks_raises_a_warning(tmp_path):
    for name in ("train/a", "train/b", "test/a"):
        save(tmp_path / name / "1.png", image(1))
    with pytest.warns(DataWarning, match="the test part has no images of b"):
        assert describe(tmp_path).class_names == ("a", "b")


def test_folders_within_a_class_raise_a_warning(animals):
    save(animals / "cats" / "indoors" / "1.png", image(1))
    with pytest.warns(DataWarning, match=r"within cats \(indoors\) belong to the class of the outer folder"):
        assert describe(animals).class_names == ("cats", "dogs")


def test_a_folder_around_the_class_folders_is_refused(tmp_path, animals):
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "data").symlink_to(animals)
    with pytest.raises(
        ValueError, match=r"source: .* one class folder data, .*\(cats, dogs.*Pass .*outer/data"
    ):
        load(outer)
    assert load(outer, labels=False).element_spec.shape[1:] == (6, 8, 1)


@pytest.mark.parametrize(
    "names", [("train_data", "test_data"), ("seg_train", "seg_test/seg_test"), ("Train-1", "TEST")]
)
def test_folders_that_look_like_splits_are_refused(tmp_path, names):
    for name in names:
        for label in "ab":
            save(tmp_path / name / label / "1.png", image(1))
    with pytest.raises(ValueError, match=r"source: .*the folders .* look like splits.*Name them 'train'"):
        load(tmp_path)


def test_a_folder_around_the_splits_is_refused(tmp_path):
    for name in ("data/train/a", "data/train/b", "data/test/a"):
        save(tmp_path / name / "1.png", image(1))
    with pytest.raises(ValueError, match=r"one class folder data, .*\(test, train\). Pass .*/data if"):
        load(tmp_path)
    assert describe(tmp_path, labels=False).num_examples == {"train": 3}


def test_splits_within_class_folders_are_refused(tmp_path):
    for name in ("a/train", "a/test", "b/train"):
        save(tmp_path / name / "1.png", image(1))
    with pytest.raises(ValueError, match=r"splits .*within the class folders .*train/a, not a/train"):
        load(tmp_path)


def test_a_part_without_class_folders_has_images_alone(tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "test/1.png", "test/2.png"):
        save(tmp_path / name, image(1))
    assert describe(tmp_path).num_examples == {"train": 2, "test": 2}
    assert only_batch(tmp_path)[1].tolist() == [0, 1]
    assert len(only_batch(tmp_path, split="test", labels=False)) == 2
    with pytest.raises(ValueError, match=r"split: expected class folders in the 'test' part.*labels=False"):
        load(tmp_path, "test")


def test_names_of_classes_in_any_script_are_one_name_however_they_are_written(tmp_path):
    for part, form in (("train", "NFC"), ("test", "NFD")):
        for name in ("café noir", "猫"):
            save(tmp_path / part / unicodedata.normalize(form, name) / "ü 1.png", image(1))
    assert describe(tmp_path).class_names == ("café noir", "猫")
    assert only_batch(tmp_path, split="test")[1].tolist() == [0, 1]
