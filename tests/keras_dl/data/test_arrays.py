import re

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf

from keras_dl.data import DataWarning, describe, load


def batch(source, **options):
    return next(iter(load(source, shuffle=False, **options).as_numpy_iterator()))


def test_uint8_images_are_scaled_and_get_a_channel():
    x = np.arange(12, dtype=np.uint8).reshape(3, 2, 2) * 20
    images, labels = batch((x, [2, 0, 1]))
    assert images.shape == (3, 2, 2, 1)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images[..., 0], x / 255.0, rtol=1e-6)
    assert labels.dtype == np.int32
    assert labels.tolist() == [2, 0, 1]
    description = describe((x, [2, 0, 1]))
    assert (description.image_shape, description.num_classes) == ((2, 2, 1), 3)
    assert description.num_examples == {"train": 3}


def test_float_images_pass_through():
    x = np.random.default_rng(0).random((5, 4, 4, 3))
    np.testing.assert_array_equal(batch(x, labels=False), x.astype(np.float32))


def test_two_dimensions_are_features():
    x = np.array([[1, -300], [2, 5]])
    features, labels = batch((x, ["cat", "ant"]))
    np.testing.assert_array_equal(features, x)
    assert features.dtype == np.float32
    assert labels.tolist() == [1, 0]
    description = describe((x, ["cat", "ant"]))
    assert (description.num_features, description.image_shape) == (2, None)
    assert description.class_names == ("ant", "cat")


def test_labels_of_keras_data_sets_have_a_column():
    assert batch((np.ones((2, 3)), np.array([[1], [0]])))[1].tolist() == [1, 0]


IMAGES = np.zeros((3, 4, 4, 1), np.uint8)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ((IMAGES, [0, 1]), "source: expected x and y of equal length, got 3 examples and 2 labels"),
        (np.zeros((0, 4, 4)), "source: expected at least one example, got an empty array x"),
        (np.zeros(3), "got an array of shape (3,)"),
        (None, "got an array of shape ()"),
        ([IMAGES, [0, 1, 2]], "a pair of arrays (x, y), got a list that cannot be converted"),
        (IMAGES.astype(np.int64), "as uint8 in 0...255 or as floats in [0, 1], got dtype int64"),
        (IMAGES + 255.0, "expected float images in [0, 1], got values from 255 to 255"),
        (IMAGES - 1.0, "got values from -1 to -1"),
        (np.full((1, 2, 2), np.nan), "got values from nan to nan"),
        (np.array([["a", "b"]]), "expected features that are real numbers, got dtype <U1"),
        (np.array([[1.0, np.nan]]), "got nan in feature 1 of example 0"),
        ((IMAGES, [0.5, 1, 2]), "got dtype float64 with the value 0.5"),
        ((IMAGES, np.eye(3)), "For one-hot labels pass y.argmax(axis=1)."),
        (IMAGES, "labels: arrays has no labels. Pass labels=False"),
    ],
)  # fmt: skip
def test_wrong_arrays_are_named(source, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        load(source)


def test_boolean_images_are_zeros_and_ones():
    image = np.eye(4)
    (batch,) = load([image == 1], labels=False).as_numpy_iterator()
    np.testing.assert_array_equal(batch, image.astype(np.float32)[None, :, :, None])


@pytest.mark.parametrize("source", [None, 5, iter([1, 2])])
def test_an_unsupported_source_is_named_by_its_type(source):
    with pytest.raises(ValueError, match=rf"source: .* shape \(\) \(of type {type(source).__name__}\)"):
        load(source)


def test_features_cannot_be_resized():
    with pytest.raises(ValueError, match="image_size: .*arrays has no images"):
        load(np.ones((3, 2)), labels=False, image_size=8)


PHOTOS = np.random.default_rng(0).integers(0, 256, (6, 8, 9, 3), np.uint8)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16])
def test_whole_numbers_up_to_255_are_pixels(dtype):
    images = batch(PHOTOS.astype(dtype), labels=False)
    np.testing.assert_allclose(images * 255, PHOTOS, atol=1e-4)


def test_whole_numbers_beyond_255_are_refused():
    with pytest.raises(ValueError, match=r"uint16 with values from 0 to 6553\d.*x // 257"):
        load(PHOTOS.astype(np.uint16) * 257, labels=False)


def test_bits_in_bytes_are_reported():
    with pytest.warns(DataWarning, match=r"largest value is 1.*astype\(bool\)"):
        load((PHOTOS > 127).astype(np.uint8), labels=False)


def test_a_missing_pixel_is_reported_with_its_position():
    images = PHOTOS / 255
    images[2, 3, 4, 1] = np.nan
    with pytest.raises(ValueError, match=r"nan at \(2, 3, 4, 1\)"):
        load(images, labels=False)


def test_channels_first_are_refused():
    with pytest.raises(ValueError, match=r"looks like \(N, C, H, W\).*np.moveaxis\(x, 1, -1\)"):
        load(np.moveaxis(PHOTOS, -1, 1), labels=False)
    assert load(np.zeros((2, 3, 8, 1), np.uint8), labels=False).element_spec.shape[1:] == (3, 8, 1)


def test_one_image_without_the_axis_of_examples_is_reported():
    with pytest.raises(ValueError, match=r"looks like one image.*x\[np.newaxis\]"):
        load(PHOTOS[0], labels=False)
    with pytest.warns(DataWarning, match=r"read as 3 gray images"):
        load(np.moveaxis(PHOTOS[0], -1, 0), labels=False)


class Tensor:
    """What another library's tensor has in common with an array."""

    def __init__(self, values, error=None):
        self.values, self.error = values, error

    def __array__(self, dtype=None, copy=None):
        if self.error is not None:
            raise self.error
        return self.values


def test_tensors_of_another_library_are_arrays():
    images, labels = batch((Tensor(PHOTOS), Tensor(np.arange(6))))
    np.testing.assert_allclose(images * 255, PHOTOS, atol=1e-4)
    assert labels.tolist() == list(range(6))
    with pytest.raises(ValueError, match=r"source: .*Tensor that cannot be converted \(use detach first\)"):
        load(Tensor(PHOTOS, RuntimeError("use detach first")), labels=False)


def test_masked_values_are_refused():
    x = np.ma.masked_array(np.ones((4, 2)), np.eye(4, 2))
    for source in (x, (np.ones((4, 2)), np.ma.masked_array([0, 1, 0, 1], [0, 0, 0, 1]))):
        with pytest.raises(ValueError, match=r"source: .* masked values, got \d"):
            load(source, labels=isinstance(source, tuple) and not isinstance(source, np.ndarray))


def test_data_sets_of_keras_have_two_parts():
    source = ((PHOTOS, np.arange(6) % 3), (PHOTOS[:2], np.arange(2)))
    assert describe(source).num_examples == {"train": 6, "test": 2}
    assert batch(source, split="test")[1].tolist() == [0, 1]


def test_sparse_arrays_are_refused():
    class Sparse:
        def toarray(self):
            raise NotImplementedError

    with pytest.raises(ValueError, match=r"x.toarray\(\)"):
        load(Sparse(), labels=False)


@pytest.mark.parametrize("options", [{"max_classes": 0}, {"max_classes": "9"}, {"drop": 3}, {"drop": [3]}])
def test_a_wrong_option_is_named(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}: expected"):
        describe((np.ones((2, 2)), [0, 1]), **options)


def test_a_pipeline_is_refused_as_a_source():
    with pytest.raises(ValueError, match=r"source: .*tf.data.Dataset is already a pipeline"):
        load(tf.data.Dataset.from_tensor_slices(PHOTOS))


def test_objects_that_are_numbers_are_features():
    np.testing.assert_array_equal(
        batch(np.array([[1, 2.5], [True, 0]], object), labels=False), [[1, 2.5], [1, 0]]
    )
    with pytest.raises(ValueError, match=r"'red' at \(1, 0\)"):
        load(np.array([[1, 2.5], ["red", 0]], object), labels=False)


@pytest.mark.parametrize(
    ("y", "classes", "names"),
    [
        ([-1, 1, 1, -1], [0, 1, 1, 0], ("-1", "1")),
        ([3.0, 1.0, 2.0, 1.0], [2, 0, 1, 0], ("1", "2", "3")),
        (["1", "3", "2", "1.0"], [0, 2, 1, 0], ("1", "2", "3")),
        ([True, False, True, True], [1, 0, 1, 1], ("False", "True")),
        (np.array([True, False, True, True], object), [1, 0, 1, 1], ("False", "True")),
        (np.array([b"dog", b"cat", b"cat", b"dog"]), [1, 0, 0, 1], ("cat", "dog")),
        ([0, 5_000_000, 0, 0], [0, 1, 0, 0], ("0", "5000000")),
    ],
)
def test_classes_are_the_distinct_values(y, classes, names):
    x = np.ones((4, 2))
    assert batch((x, y))[1].tolist() == classes
    assert describe((x, y)).class_names == names


def test_missing_numbers_between_classes_are_reported():
    with pytest.warns(DataWarning, match=r"distinct integers \(0, 2\) are encoded as the classes 0 to 1"):
        assert batch((np.ones((3, 2)), [0, 2, 2]))[1].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("y", "text"),
    [
        ([1, np.nan, 0, np.nan], "missing values in 2 of 4 (label 1, label 3)"),
        (["a", None, "b", ""], "missing values in 2 of 4 (label 1, label 3)"),
        ([1, 0.25, 0, 1], "0.25 (label 1), which looks like a measurement"),
        ([1, np.inf, 0, 1], "inf (label 1), which looks like a measurement"),
    ],
)
def test_missing_and_invalid_labels_are_named(y, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        load((np.ones((4, 2)), np.array(y, object if None in y else None)))


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (np.arange(1001), "at most 1,000 classes, got 1,001 distinct integers"),
        (np.arange(100) * 17 + 3, "100 distinct integers in 100 examples"),
        (np.random.default_rng(0).integers(34_900, 755_000, 300) // 100 * 100, "look like measurements"),
        ([f"name {i}" for i in range(60)], "60 distinct names in 60 examples (name 0, name 1, name 10"),
    ],
)
def test_too_many_classes_are_refused_unless_allowed(y, text):
    x = np.ones((len(y), 2))
    with pytest.raises(ValueError, match=rf"max_classes: .*{re.escape(text)}"):
        describe((x, y))
    assert describe((x, y), max_classes=len(y)).num_classes == len(set(y))


TABLE = {"width": [1.5, 2.5, 3.5], "height": [4, 5, 6], "label": ["rose", "iris", "rose"]}


class Frame:
    """A data frame, as far as those of pandas and polars are alike."""

    def __init__(self, columns):
        self._columns = {name: np.array(values) for name, values in columns.items()}
        self.columns = list(columns)

    def __getitem__(self, name):
        column = self._columns[name]
        return type("Series", (), {"to_numpy": lambda _: column, "shape": column.shape})()

    def to_numpy(self):
        return np.column_stack(list(self._columns.values()))


def structured(columns):
    return np.array(
        list(zip(*columns.values(), strict=True)), [("width", "f4"), ("height", "i4"), ("label", "U9")]
    )


@pytest.mark.parametrize("as_source", [dict, Frame, pyarrow.table, structured])
def test_columns_by_name_are_a_table(as_source):
    source = as_source(TABLE)
    features, labels = batch(source)
    np.testing.assert_array_equal(features, np.column_stack([TABLE["width"], TABLE["height"]]))
    assert labels.tolist() == [1, 0, 1]
    assert describe(source).class_names == ("iris", "rose")
    np.testing.assert_array_equal(batch(source, drop="height", labels=False)[:, 0], TABLE["width"])
    with pytest.raises(ValueError, match=r"label_column: .*no column 'Label'.*Did you mean 'label'\?"):
        load(source, label_column="Label")


@pytest.mark.parametrize("names", [("image", "label"), ("x", "y"), ("Images", "Labels")])
def test_a_pair_of_arrays_by_name(names, tmp_path):
    pair = dict(zip(names, (PHOTOS, np.arange(6) % 2), strict=True))
    np.savez(tmp_path / "pair.npz", **pair)
    for source in (pair, tmp_path / "pair.npz"):
        images, labels = batch(source)
        np.testing.assert_allclose(images * 255, PHOTOS, atol=1e-4)
        assert labels.tolist() == [0, 1] * 3


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
    ],
)
def test_npz_files_of_several_parts(tmp_path, names):
    arrays = (PHOTOS, [3, 1, 3, 1, 3, 1], PHOTOS[:2], [1, 3])
    np.savez(tmp_path / "set.npz", **dict(zip(names, arrays, strict=True)))
    description = describe(tmp_path / "set.npz")
    assert description.num_examples == {"train": 6, "test": 2}
    assert (description.name, description.class_names) == ("set.npz", ("1", "3"))
    assert batch(tmp_path / "set.npz", split="train")[1].tolist() == [1, 0, 1, 0, 1, 0]
    assert batch(tmp_path / "set.npz", split="test")[1].tolist() == [0, 1]


def test_npy_files(tmp_path):
    np.save(tmp_path / "x.npy", PHOTOS)
    np.testing.assert_allclose(batch(tmp_path / "x.npy", labels=False) * 255, PHOTOS, atol=1e-4)
    np.save(tmp_path / "objects.npy", np.array([{}], object))
    (tmp_path / "broken.npz").write_bytes(b"PK nonsense")
    for name in ("objects.npy", "broken.npz"):
        with pytest.raises(ValueError, match=rf"source: .*{name} cannot be read as NumPy arrays"):
            load(tmp_path / name)


def test_arrays_with_unknown_names_are_listed(tmp_path):
    np.savez(tmp_path / "set.npz", PHOTOS, np.arange(6))
    with pytest.raises(ValueError, match=r"source: expected arrays named x and y.*arr_0, arr_1 in set.npz"):
        load(tmp_path / "set.npz")


def test_parquet_files(tmp_path):
    path = tmp_path / "table.parquet"
    pyarrow.parquet.write_table(pyarrow.table(TABLE), path)
    features, labels = batch(path)
    np.testing.assert_array_equal(features, np.column_stack([TABLE["width"], TABLE["height"]]))
    assert labels.tolist() == [1, 0, 1]
    pyarrow.parquet.write_table(pyarrow.table({**TABLE, "height": [1, None, 3]}), path)
    with pytest.raises(ValueError, match=r"source: .*got nan in column 'height' of row 1 of .*table.parquet"):
        load(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"source: .*table.parquet cannot be read as a Parquet file"):
        load(path)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("a.xlsx", "Save it as a CSV"),
        ("a.zip", "Unpack it"),
        ("a.jpg", "Pass the folder"),
        ("a.pkl", "arrays"),
    ],
)
def test_files_of_other_kinds_are_refused_with_a_conversion(tmp_path, name, remedy):
    (tmp_path / name).write_bytes(b"PK\3\4")
    with pytest.raises(ValueError, match=rf"source: expected a plain text.*{name}.*{remedy}"):
        load(tmp_path / name)


@pytest.mark.parametrize("argument", [{"drop": "a"}, {"separator": ";"}, {"encoding": "latin-1"}])
def test_options_of_tables_are_refused_for_arrays(argument):
    (name,) = argument
    with pytest.raises(ValueError, match=rf"{name}: expected none, because arrays has no"):
        load(PHOTOS, labels=False, **argument)


def test_columns_without_rows_are_named():
    with pytest.raises(ValueError, match=r"^source: .*no examples"):
        load({"a": np.zeros(0), "label": np.zeros(0, int)})


def test_names_that_are_not_utf_8_are_refused():
    with pytest.raises(ValueError, match=r"^source: .*UTF-8.*decode"):
        load((np.zeros((2, 4, 4)), np.array([b"a", "é".encode("latin-1")])))
