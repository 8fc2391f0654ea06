"""JSON that is read and quoted like RapidJSON does."""

from __future__ import annotations

import contextlib
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.json.json_numbers import format_number
from keras_dl_serving.protocol.json.json_text import parse
from keras_dl_serving.protocol.json.rapidjson_compat import quote, read_document

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('ab"\\\n\u00e9', max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_documents_of_python_are_read(value: Any, indent: int | None, ensure_ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii).encode()
    assert parse(text) == value
    # The slow reader, which only sees what orjson refuses, knows the same language.
    assert read_document(text) == value


@given(JSON, st.binary())
def test_text_after_the_document_is_ignored(value: Any, rest: bytes) -> None:
    assert parse(json.dumps([value]).encode() + b" " + rest) == [value]


@pytest.mark.parametrize("reader", [parse, read_document])
def test_non_finite_numbers_are_bare_tokens(reader: Any) -> None:
    nan, *others = reader(b"[NaN, Infinity, -Infinity, 1.5]")
    assert math.isnan(nan)
    assert others == [math.inf, -math.inf, 1.5]
    assert reader(b"[Inf, -Inf]") == [math.inf, -math.inf]


@pytest.mark.parametrize("reader", [parse, read_document])
def test_integers_beyond_64_bits_are_doubles(reader: Any) -> None:
    integers = [2**64 - 1, 2**64, -(2**63), -(2**63) - 1]
    values = reader(f"[{', '.join(map(str, integers))}, NaN]".encode())
    assert values[:4] == [2**64 - 1, 2.0**64, -(2**63), -(2.0**63)]
    assert [type(value) for value in values[:4]] == [int, float, int, float]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": 1, "a": 2, "b": 3}', {"a": 1, "b": 3}),
        (b'{"inputs": {"x": [1], "y": 2, "x": [3]}}', {"inputs": {"x": [1], "y": 2}}),
        (b'{"inputs": {"inputs": [1]}, "inputs": [2]}', {"inputs": {"inputs": [1]}}),
        (b'{"inputs": {"x": 1}, "x": 2, "inputs": 3}', {"inputs": {"x": 1}, "x": 2}),
        (b'{"a": NaN, "a": 1}', {"a": math.nan}),
        (b'{"a": "\\u0041", "a": 1}', {"a": "A"}),
        # What is no name does not count as one.
        (b'{"inputs": {"inputs": ["inputs"]}}', {"inputs": {"inputs": ["inputs"]}}),
        (b'{"signature_name": "inputs", "inputs": 1e2}', {"signature_name": "inputs", "inputs": 100.0}),
    ],
)
def test_the_first_of_equal_names_is_used(text: bytes, value: Any) -> None:
    assert repr(parse(text)) == repr(value)
    assert repr(read_document(text)) == repr(value)


def test_invalid_utf_8_is_kept() -> None:
    assert parse(b'["\xff\xc3\xa9"]')[0].encode("utf-8", "surrogateescape") == b"\xff\xc3\xa9"


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse(b'\xef\xbb\xbf{"a": NaN}').keys() == {"a"}


@pytest.mark.parametrize(
    ("text", "reason", "offset"),
    [
        (b"  ", "The document is empty.", 2),
        (b"instances = [1, 2]", "Invalid value.", 0),
        (b"[1, nul]", "Invalid value.", 7),
        (b"[1, ]", "Invalid value.", 4),
        (b"[-]", "Invalid value.", 2),
        (b"[Infinitx]", "Invalid value.", 8),
        (b"{1: 2}", "Missing a name for object member.", 1),
        (b'{"a" 2}', "Missing a colon after a name of object member.", 5),
        (b'{"a": 2 "b"}', "Missing a comma or '}' after an object member.", 8),
        (b"[1 2]", "Missing a comma or ']' after an array element.", 3),
        (b"[01]", "Missing a comma or ']' after an array element.", 2),
        (b"[1,2", "Missing a comma or ']' after an array element.", 4),
        (b'["\\u12g4"]', "Incorrect hex digit after \\u escape in string.", 2),
        (b'["\\ud800x"]', "The surrogate pair in string is invalid.", 2),
        (b'["\\ud800\\u0041"]', "The surrogate pair in string is invalid.", 2),
        (b'["\\q"]', "Invalid escape character in string.", 2),
        (b'["abc', "Missing a closing quotation mark in string.", 5),
        (b"[1e999]", "Number too big to be stored in double.", 1),
        (b"[1" + b"0" * 400 + b"]", "Number too big to be stored in double.", 1),
        (b"[1.]", "Miss fraction part in number.", 3),
        (b"[1.x]", "Miss fraction part in number.", 3),
        (b"[1e+]", "Miss exponent in number.", 4),
        (b"[" * 100_000, "Nested deeper than 200 levels.", 201),
    ],
)
def test_errors_match_rapidjson(text: bytes, reason: str, offset: int) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse(text)
    assert caught.value.message == f"JSON Parse error: {reason} at offset: {offset}"


def test_an_empty_body_has_no_offset() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^JSON Parse error: The document is empty$"):
        parse(b"")


@given(st.binary(max_size=60) | st.text('[]{}",:0123456789.eE+-\\u tfnalsr"NIi', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused_by_name(text: bytes) -> None:
    with contextlib.suppress(InvalidArgumentError):  # any other exception fails the test
        parse(text)


@given(JSON)
def test_short_quotes_are_the_value_in_one_line(value: Any) -> None:
    text = quote(value)
    assert len(text) <= 256
    if len(text) < 256:
        assert repr(json.loads(text)) == repr(value)
        plain = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        assert re.sub(r"[\d.e+-]", "", text) == re.sub(r"[\d.e+-]", "", plain)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (16777217.0, "16777217.0"),
        (1e20, "100000000000000000000.0"),
        (1e21, "1e21"),
        (-1.5e-7, "-1.5e-7"),
        (1.25e-6, "0.00000125"),
        (3.4028234663852886e38, "3.4028234663852886e38"),
        (123456789.123, "123456789.123"),
    ],
)
def test_numbers_are_quoted_as_they_were_sent(value: float, text: str) -> None:
    assert quote([value]) == f"[{text}]"


def test_long_quotes_are_cut_before_they_are_written() -> None:
    assert quote([[1.5] * 100_000] * 100_000).startswith("[[1.5,1.5,1.5")


@pytest.mark.parametrize(
    ("value", "single", "text"),
    [
        (9e6, True, "9e+06"),
        (999999.0, True, "999999.0"),
        (3e-05, True, "3e-05"),
        (0.0, True, "0.0"),
        (-0.0, False, "-0.0"),
        (0.1, False, "0.1"),
        (1 / 3, False, "0.33333333333333331"),
        (math.nan, True, "NaN"),
        (-math.inf, False, "-Infinity"),
    ],
)
def test_numbers_have_six_digits_or_all(value: float, single: bool, text: str) -> None:
    assert format_number(value, single=single) == text


def test_a_long_list_of_numbers_is_read_up_to_its_error() -> None:
    numbers = b"[" + b"1, -2.5e1 ,\n0," * 1000
    with pytest.raises(InvalidArgumentError, match=f"Invalid value. at offset: {len(numbers)}"):
        parse(numbers + b"}")
    with pytest.raises(InvalidArgumentError, match=f"too big.* at offset: {len(numbers)}"):
        parse(numbers + b"1e999, 1, 2]")
    values = parse(numbers + b"NaN]")
    assert values[:-1] == [1, -25.0, 0] * 1000
    assert math.isnan(values[-1])
