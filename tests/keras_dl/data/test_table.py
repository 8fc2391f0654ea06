import numpy as np
import pytest

from keras_dl.data import describe, load


@pytest.fixture
def table(tmp_path):
    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def only_batch(dataset):
    (batch,) = dataset.as_numpy_iterator()
    return batch


def test_numbers_and_a_label_column(table):
    path = table("width, height, label\n1, 2.5, rose\n3,-4e2,iris\n\n5,6,rose\n")
    features, labels = only_batch(load(path, shuffle=False))
    np.testing.assert_array_equal(features, np.float32([[1, 2.5], [3, -400], [5, 6]]))
    assert labels.tolist() == [1, 0, 1]
    description = describe(path)
    assert (description.name, description.num_features, description.image_shape) == ("table.csv", 2, None)
    assert description.class_names == ("iris", "rose")


def test_another_label_column_and_class_numbers(table):
    path = table("y,a\n2,0.5\n0.0,1\n")
    assert only_batch(load(path, label_column="y", shuffle=False))[1].tolist() == [2, 0]
    assert describe(path, label_column="y").num_classes == 3


def test_tabs_and_no_labels(table):
    path = table("a\tb\n1\t2\n", name="table.tsv")
    np.testing.assert_array_equal(only_batch(load(str(path), labels=False)), [[1, 2]])
    assert describe(path, label_column=None).num_features == 2


def test_without_labels_their_column_is_left_out(table):
    path = table("a,label,b\n1,rose,2\n")
    np.testing.assert_array_equal(only_batch(load(path, labels=False)), [[1, 2]])
    path = table("y,a,b\n7,1,2\n")
    np.testing.assert_array_equal(only_batch(load(path, labels=False, label_column="y")), [[1, 2]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "label_column: .* has no column 'label'; its columns are a, b."),
        ("a,label\n", "holds no examples"),
        ("", "holds no examples"),
        ("a,label\n1,2\n3\n", "source: row 3 of .* has 1 cells, its header 2"),
        ("a,label\n1,2\nred,0\n", "source: column 'a' of row 3 of .* is 'red'"),
        ("a,label\n1,2\n,0\n", "source: column 'a' of row 3 of .* is ''"),
        ("a,label\n1,0.5\n", "the labels in column 'label' to be classes 0, 1, 2, .* with the value 0.5"),
        ("label\n1\n", "has the label column 'label' alone"),
        ("a,label\ninf,0\n", "feature 0 of example 0 is inf"),
    ],
)
def test_a_wrong_table_is_named(table, text, message):
    with pytest.raises(ValueError, match=message):
        load(table(text))
