import csv
import gzip
import warnings

import numpy as np
import pytest

from keras_dl.data import DataWarning, describe, load


@pytest.fixture
def table(tmp_path):
    def write(text, name="table.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
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
    with pytest.warns(DataWarning, match="are encoded as the classes 0 to 1"):
        assert only_batch(load(path, label_column="y", shuffle=False))[1].tolist() == [1, 0]
    with pytest.warns(DataWarning):
        assert describe(path, label_column="y").class_names == ("0", "2")


def test_tabs_and_no_labels(table):
    path = table("a\tb\n1\t2\n", name="table.tsv")
    np.testing.assert_array_equal(only_batch(load(str(path), labels=False)), [[1, 2]])
    assert describe(path, label_column=None).num_features == 2


def test_without_labels_their_column_is_omitted(table):
    path = table("a,label,b\n1,rose,2\n")
    np.testing.assert_array_equal(only_batch(load(path, labels=False)), [[1, 2]])
    path = table("y,a,b\n7,1,2\n")
    np.testing.assert_array_equal(only_batch(load(path, labels=False, label_column="y")), [[1, 2]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "label_column: .* has no column 'label'; its columns are a, b."),
        ("a,label\n", "no examples"),
        ("", "no examples"),
        ("a,label\n1,2\n3\n", "source: expected 2 cells.*got 1 in row 3"),
        ("a,label\n1,2\nred,0\n", "source: .*got 'red' in column 'a' of row 3"),
        ("a,label\n1,2\n,0\n", "source: .*got '' in column 'a' of row 3"),
        ("a,label\n1,0.5\n", "column 'label' of .* to be classes 0, 1, 2, .* with the value 0.5 .row 2"),
        ("label\n1\n", "only the label column 'label'"),
        ("a,label\ninf,0\n", "source: .*got 'inf' in column 'a' of row 2"),
    ],
)
def test_a_wrong_table_is_named(table, text, message):
    with pytest.raises(ValueError, match=message):
        load(table(text))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_and_byte_order_mark(table, encoding, end):
    path = table(end.join(["a,label", "1,café", "", "2,thé", ",", ""]), encoding=encoding)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features, labels = only_batch(load(path, shuffle=False))
    assert features.tolist() == [[1], [2]]
    assert labels.tolist() == [0, 1]
    assert describe(path).class_names == ("café", "thé")


@pytest.mark.parametrize(("encoding", "label"), [("latin-1", "café"), ("cp1252", "2€"), ("shift_jis", "猫")])
def test_another_encoding_is_named_and_read_if_it_is_given(table, encoding, label):
    path = table(f"a,label\n1,tea\n2,{label}\n", encoding=encoding)
    with pytest.raises(
        ValueError, match=r"source: expected a text in UTF-8.* in line 3, .*table.csv.*encoding="
    ):
        load(path)
    assert set(describe(path, encoding=encoding).class_names) == {"tea", label}


def test_the_advised_encoding_is_the_right_one(table):
    for encoding, label in (("latin-1", "café"), ("cp1252", "2€")):
        path = table(f"a,label\n1,tea\n2,{label}\n", encoding=encoding)
        with pytest.raises(ValueError, match=rf"encoding='{encoding}' would read .*{label}"):
            load(path)


def test_a_byte_order_mark_of_utf_8_determines_the_encoding(table):
    path = table("label,a\ncafé,1\n", encoding="utf-8-sig")
    for encoding in ("utf-8", "latin-1", "cp1252"):
        assert describe(path, encoding=encoding).class_names == ("café",)


def test_unnamed_columns_without_cells_are_ignored(table):
    path = table("a,label,,\n1,x,,\n2,y\n3,y,\n")
    assert only_batch(load(path, shuffle=False))[0].tolist() == [[1], [2], [3]]
    with pytest.raises(ValueError, match="expected 2 cells.*got 5 in row 3"):
        load(table("a,label,,\n1,x,,\n2,y,,,7\n"))


def test_an_unknown_encoding(table):
    with pytest.raises(ValueError, match=r"encoding: .*'utf-9'"):
        load(table("a,label\n1,0\n"), encoding="utf-9")


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_reported_and_read_if_it_is_given(table, separator):
    path = table("a,b,label\n1,2,x\n3,4,y\n".replace(",", separator))
    with pytest.raises(ValueError, match=r"separator: expected .*commas.*Pass separator="):
        load(path)
    features, labels = only_batch(load(path, separator=separator, shuffle=False))
    assert features.tolist() == [[1, 2], [3, 4]]
    assert labels.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["table.TSV", "table.Tsv", "table.tab", "table.tsv.gz"])
def test_tabs_by_the_name_of_the_file(table, name):
    path = table("a\tlabel\n1\tx, y\n", name=name)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert describe(path).class_names == ("x, y",)


def test_a_tsv_file_of_commas_is_reported(table):
    with pytest.raises(ValueError, match=r"separator: expected .*tabs.*got lines with commas.*separator=','"):
        load(table("a,label\n1,0\n", name="table.tsv"))


def test_gzip(table):
    path = table("a,label\n1,x\n", name="table.csv.gz")
    with pytest.raises(ValueError, match=r"source: .*table.csv.gz cannot be decompressed"):
        load(path)
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert describe(path).class_names == ("x",)


def test_decimal_commas(table):
    path = table("a;label\n1,5;x\n-2;y\n")
    assert only_batch(load(path, separator=";", shuffle=False))[0].tolist() == [[1.5], [-2]]
    with pytest.raises(ValueError, match=r"got '1,5' in column 'a' of row 2 .*decimal points"):
        load(table('a,label\n"1,5",x\n'))


def test_excels_note_of_the_separator(table):
    path = table("sep=;\r\na;label\r\n1;x\r\n;y\r\n")
    with pytest.raises(ValueError, match=r"column 'a' of row 4"):
        load(path)


def test_cells_in_quotation_marks_agree_with_the_csv_module(table, tmp_path):
    labels = ['say "hi"', "a, b", "two\nlines", "plain"]
    with (tmp_path / "quoted.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "label"], *enumerate(labels)])
    assert describe(tmp_path / "quoted.csv").class_names == tuple(sorted(labels))


def test_rows_are_lines_of_the_file(table):
    path = table('a,label\n\n1,"two\nlines"\n\nx,b\n')
    with pytest.raises(ValueError, match="column 'a' of row 6"):
        load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a,label\n1,x\n2,"y\n3,z\n', r"closing quotation mark.*row 3"),
        ('a,label\n1,x\n2,"y" z\n', "source: row 3 .* is malformed"),
        ('a,label\n1,"' + "x" * 200_000 + '"\n', "source: expected cells of at most .*row 2"),
        ("a,label\n1,x,\n2,y,\n", "source: expected 2 cells.*got 3 in row 2.*; 2 rows .*last separator"),
        ("a,label\n1,x\n2,y, z\n", "source: expected 2 cells.*got 3 in row 3.*commas in quotation marks"),
        ("a,a,label\n1,2,x\n", "source: .* several columns named 'a'"),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", "source: expected column names in the first line.*got values"),
        ("1,2,3\n4,5,6\n", "source: expected column names in the first line.*got values"),
        ("a,Label\n1,x\n", r"label_column: .*Did you mean 'Label'\?"),
        ("a,target\n1,x\n", r"label_column: .*Did you mean 'target'\?"),
        ("a,label\n1,x\n2,\n3,NA\n4,?\n", "column 'label' .*missing values in 3 of 4 .row 3, row 4, row 5"),
        ("a,b,label\n1,,x\nNA,2,y\n?,3,z\n", r"'b' of row 2 .*all 3 cells.*'a' \(2: row 3, row 4\).*fill in"),
        ("a,b,label\n1,Braund,x\n2,Allen,y\n", r"got 'Braund' in column 'b' of row 2 .*drop=\['b'\]"),
        ('a,label\n"1,234",x\n', "got '1,234' in column 'a' of row 2 .*thousands"),
        ("a,label\n1_000,x\n", "got '1_000' in column 'a' of row 2"),
        ("image,label\ncat.1.jpg,cat\n", "column 'image' of row 2 .*one folder per class"),
        ("a,label\n1e300,0\n", "got '1e300' in column 'a' of row 2"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_named_with_its_remedy(table, text, message):
    with pytest.raises(ValueError, match=message):
        load(table(text))


@pytest.mark.parametrize("separator", ["", ";;", '"', 5])
def test_a_wrong_separator(table, separator):
    with pytest.raises(ValueError, match="separator: expected one character"):
        load(table("a,label\n1,0\n"), separator=separator)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "id", "PassengerId", "customer_id", "Index"])
def test_an_index_column_is_reported_and_can_be_dropped(table, name):
    rows = [f"{number},{number % 2 + 0.5},{'xy'[number % 2]}" for number in (7, 3, 5, 4)]
    path = table("\n".join([f"{name},a,label", *rows]))
    column = name or "Unnamed: 0"
    with pytest.warns(DataWarning, match=rf"column '{column}' number.*drop=\['{column}'\]"):
        assert describe(path).num_features == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert only_batch(load(path, drop=[column], shuffle=False))[0].tolist() == [
            [1.5],
            [1.5],
            [1.5],
            [0.5],
        ]
        assert describe(path, drop=column).num_features == 1


def test_a_first_column_that_counts_rows_is_reported(table):
    path = table("\n".join(["when,a,label", *(f"{number},{number % 3},x" for number in range(10))]))
    with pytest.warns(DataWarning, match="column 'when'"):
        load(path)


def test_measurements_are_not_taken_for_an_index(table):
    path = table(
        "fixed acid,humid,label\n"
        + "".join(f"{number + 0.5},{number},{'xy'[number % 2]}\n" for number in (7, 3, 5, 4))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(path)


@pytest.mark.parametrize(
    ("drop", "text"),
    [(["b"], "no column 'b'"), ("label", "the column of the labels"), (["a"], "only the label column")],
)
def test_a_wrong_drop(table, drop, text):
    with pytest.raises(ValueError, match=text):
        load(table("a,label\n1,0\n"), drop=drop)


def test_text_columns_can_be_dropped(table):
    path = table('Name,a,label\n"Braund, Mr. Owen",1,x\n')
    assert only_batch(load(path, drop="Name"))[0].tolist() == [[1]]


def test_a_price_is_refused_as_a_class(table):
    path = table("a,price\n" + "".join(f"{number},{number * 1739 % 997 * 100}\n" for number in range(200)))
    with pytest.raises(ValueError, match="max_classes: .*column 'price'.*200 distinct integers"):
        load(path, label_column="price")


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ("2024-01-31", "dates as numbers"),
        ("31.01.2024 12:00", "dates as numbers"),
        ("True", "write 1 and 0"),
        ("12.5%", "without units"),
        ("$3.50", "without units"),
        ("3.50 €", "without units"),
        ("1'234'567.8", "1234 and not"),
        ("1\xa0234", "1234 and not"),
        ("large", "encode text"),
    ],
)
def test_cells_that_could_be_numbers_are_reported_with_their_proper_form(table, cell, remedy):
    with pytest.raises(ValueError, match=rf"column 'a' of row 2 .*{remedy}"):
        load(table(f"a,label\n{cell},x\n2,y\n"))


def test_points_beside_decimal_commas_are_thousands_separators(table):
    path = table("a;label\n1.234;x\n999,5;y\n")
    with pytest.raises(ValueError, match=r"got '1\.234' in column 'a' of row 2 .*thousands"):
        load(path, separator=";")
    path = table("a;b;label\n1.234;1,5;x\n2.5;2;y\n")
    features, _ = only_batch(load(path, separator=";", shuffle=False))
    np.testing.assert_array_equal(features, np.float32([[1.234, 1.5], [2.5, 2]]))


def test_semicolons_below_names_with_commas(table):
    with pytest.raises(ValueError, match=r"separator: .*semicolons.*';'"):
        load(table("height, cm;width;label\n1,5;2;x\n2,5;3;y\n"))


def test_a_title_above_the_names_is_reported(table):
    with pytest.raises(ValueError, match=r"title.*'# measured in May'"):
        load(table("# measured in May\na,label\n1,x\n2,y\n"))


def test_a_compressed_file_is_known_by_its_content(table):
    path = table("")
    path.write_bytes(gzip.compress(b"a,label\n1,x\n2,y\n"))
    assert describe(path).class_names == ("x", "y")
    path.write_bytes(b"PK\3\4" + bytes(60))
    with pytest.raises(ValueError, match="ZIP archive or a spreadsheet"):
        load(path)


@pytest.mark.parametrize("column", [0, -1, ["label"]])
def test_a_label_column_that_is_not_a_string_is_refused(table, column):
    with pytest.raises(ValueError, match=r"^label_column: expected the name"):
        load(table("a,label\n1,x\n2,y\n"), label_column=column)


def test_doubtful_classes_are_reported(table):
    with pytest.warns(DataWarning, match=r"'label'.*'Cat', 'cat' are different"):
        load(table("a,label\n1,Cat\n2,cat\n"))
    with pytest.warns(DataWarning, match="only one class, x"):
        load(table("a,label\n1,x\n2,x\n"))
