import numpy as np
import pytest
from PIL import Image

from keras_dl.data import describe, load


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def image(value, shape=(6, 8)):
    return np.full(shape, value, np.uint8)


@pytest.fixture
def animals(tmp_path):
    """Grey images whose value tells them apart: cats 10, 11, ...; dogs 100, 101, ..."""
    for number in range(20):
        save(tmp_path / "cats" / f"{number:02}.png", image(10 + number))
        save(tmp_path / "dogs" / f"{number:02}.png", image(100 + number))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "cats" / ".hidden.png").write_bytes(b"")
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


def test_colour_images_of_different_sizes_are_resized_while_read(tmp_path):
    save(tmp_path / "a" / "1.png", image(7, (4, 4)))
    save(tmp_path / "a" / "2.jpg", np.full((9, 5, 3), 200, np.uint8))
    assert describe(tmp_path).image_shape == (None, None, 3)
    assert describe(tmp_path, image_size=6).image_shape == (6, 6, 3)
    with pytest.raises(ValueError, match="image_size: the images of .* differ in size"):
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
    with pytest.raises(
        ValueError, match=f"source: no images in {tmp_path}. Expected .gif, .jpeg, .jpg, .png files"
    ):
        load(tmp_path)


def test_an_empty_part_is_named(tmp_path):
    save(tmp_path / "train" / "a" / "1.png", image(5))
    (tmp_path / "test").mkdir()
    with pytest.raises(ValueError, match=f"source: no images in {tmp_path / 'test'}"):
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
    with pytest.raises(ValueError, match=r"stray.png lies beside the class folders"):
        load(animals)


def test_a_class_that_train_has_not(tmp_path):
    save(tmp_path / "train" / "a" / "1.png", image(1))
    save(tmp_path / "test" / "b" / "1.png", image(1))
    with pytest.raises(ValueError, match="the test part of .* has classes that train has not: b"):
        load(tmp_path)
