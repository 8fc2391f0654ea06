import gzip

import numpy as np
import pytest

from keras_dl.data import describe, load


@pytest.fixture
def text_file(tmp_path):
    def write(text):
        path = tmp_path / "book.txt"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def windows(path, length, **options):
    dataset = load(path, sequence_length=length, shuffle=False, **options)
    vocabulary = describe(path).vocabulary
    return [
        ("".join(vocabulary[i] for i in x), "".join(vocabulary[i] for i in y))
        for xs, ys in dataset.as_numpy_iterator()
        for x, y in zip(xs, ys, strict=True)
    ]


def test_each_window_predicts_the_character_that_follows(text_file):
    path = text_file("to be or not to be")
    assert windows(path, 5) == [("to be", "o be "), (" or n", "or no"), ("ot to", "t to ")]


def test_all_characters_but_the_rest_are_targets_once(text_file):
    text = "".join(chr(0x3B1 + i % 24) for i in range(1000)) + "😀"
    path = text_file(text)
    targets = "".join(y for _, y in windows(path, 7))
    assert targets == text[1 : 1 + len(targets)]
    assert len(targets) == (len(text) - 1) // 7 * 7


def test_the_vocabulary_is_the_alphabet_in_order(text_file):
    description = describe(text_file("banana\n"))
    assert description.vocabulary == "\nabn"
    assert description.num_examples == {"train": 7}


def test_elements_are_int32(text_file):
    dataset = load(text_file("abc" * 50), sequence_length=10, batch_size=4, drop_remainder=True)
    assert [(spec.shape.as_list(), spec.dtype.name) for spec in dataset.element_spec] == [
        ([4, 10], "int32")
    ] * 2


def test_parts_are_runs_of_the_text_and_no_window_crosses_a_gap(text_file):
    text = "".join(chr(0x4E00 + i) for i in range(1000))  # every character names its place
    train, validation = load(text_file(text), ("train", "validation"), sequence_length=10)
    places = [
        np.concatenate([np.c_[x, y[:, -1:]] for x, y in part.as_numpy_iterator()])
        for part in (train, validation)
    ]
    for part in places:
        assert np.all(np.diff(part, axis=1) == 1)
    assert places[1].min() >= 800
    assert places[1].max() < 900
    assert not set(places[0].ravel()) & set(places[1].ravel())


def test_labels_false_gives_the_characters_alone(text_file):
    assert load(text_file("abcd" * 9), labels=False, sequence_length=4).element_spec.shape.as_list() == [
        None,
        4,
    ]


def test_a_text_that_is_too_short(text_file):
    with pytest.raises(ValueError, match="sequence_length: expected less than the 5 characters"):
        load(text_file("short"))


def test_an_empty_text(text_file):
    with pytest.raises(ValueError, match=r"source: book.txt is empty"):
        load(text_file(""))


def test_binary_files_are_refused_as_text(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ValueError, match=r"source: expected a plain text.*model.bin"):
        load(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_skipped(tmp_path, encoding):
    path = tmp_path / "book.txt"
    path.write_bytes("héllo wörld".encode(encoding))
    assert describe(path).vocabulary == "".join(sorted(set("héllo wörld")))


def test_every_line_end_is_a_line_feed(tmp_path):
    path = tmp_path / "book.txt"
    path.write_bytes(b"a\r\nb\rc\nd")
    assert windows(path, 6) == [("a\nb\nc\n", "\nb\nc\nd")]


def test_another_encoding_is_named_and_read_if_it_is_given(tmp_path):
    path = tmp_path / "book.txt"
    path.write_bytes("tea\nand café\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"source: .*at byte 11, in line 2, .*book.txt.*encoding='latin-1'"):
        load(path)
    assert "é" in describe(path, encoding="latin-1").vocabulary
    path.write_bytes("plain text".encode("utf-16-le"))
    with pytest.raises(ValueError, match=r"source: .*NUL characters in .*Pass encoding='utf-16-le'"):
        load(path)


def test_the_error_for_a_utf_8_text_advises_utf_8(text_file):
    with pytest.raises(ValueError, match=r"expected a text in ASCII.*encoding='utf-8' would read .*café"):
        load(text_file("café"), encoding="ascii")


def test_a_packed_text(tmp_path):
    path = tmp_path / "book.txt.gz"
    path.write_bytes(gzip.compress(b"to be or not"))
    assert windows(path, 5) == [("to be", "o be "), (" or n", "or no")]


def test_more_characters_than_fit_into_two_bytes(tmp_path):
    text = "".join(chr(code) for code in range(0x100, 0x12000) if not 0xD800 <= code < 0xE000)
    path = tmp_path / "book.txt"
    path.write_text(text, encoding="utf-8")
    assert "".join(x for x, _ in windows(path, 1000)) == text[: (len(text) - 1) // 1000 * 1000]


def test_a_separator_is_refused_for_a_text(text_file):
    with pytest.raises(ValueError, match="separator: expected none"):
        load(text_file("abc"), separator=";")


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ipynb"])
def test_records_are_refused_as_prose(tmp_path, name):
    (tmp_path / name).write_text('{"a": 1, "label": "x"}\n' * 9)
    with pytest.raises(ValueError, match=r"^source: .*CSV.*\.txt"):
        load(tmp_path / name, sequence_length=4)
