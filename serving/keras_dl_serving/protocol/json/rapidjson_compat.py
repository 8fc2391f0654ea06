"""RapidJSON 1.1.0 in its own words: the error texts, byte offsets and quotations that clients match on.

TensorFlow Serving parses with RapidJSON, configured to accept `NaN`, `Infinity` and `-Infinity`, and its
errors reach the client. Everything that imitates RapidJSON to the letter is in this module: `json_text`
reads with it what orjson refuses, and errors about a value quote it with `quote` and `type_name`.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

import orjson

from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.json.json_numbers import format_shortest, read_float, read_whole

_QUOTE_LIMIT = 256
_MAX_DEPTH = 200
_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# Numbers, each with its comma: long lists of them are read at once, up to the error.
_NUMBERS = re.compile(
    rb"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?[ \t\n\r]*+,[ \t\n\r]*+)++"
)
_ESCAPES = {b'"': '"', b"\\": "\\", b"/": "/", b"b": "\b", b"f": "\f", b"n": "\n", b"r": "\r", b"t": "\t"}
BOM = b"\xef\xbb\xbf"


def read_document(text: bytes) -> Any:
    """Read a JSON document byte by byte; text after its end is ignored.

    Raises:
        InvalidArgumentError: `JSON Parse error: ...`, with RapidJSON's reason and offset.
    """
    return _Reader(text).document()


def quote(value: Any) -> str:
    """Return a value as JSON in one line, cut at 256 characters, as error texts quote it."""
    pieces: list[str] = []
    _quote(value, pieces, _QUOTE_LIMIT)
    return "".join(pieces)[:_QUOTE_LIMIT]


def type_name(value: Any) -> str:
    """Return RapidJSON's name for the type of a value."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, dict):
        return "Object"
    if isinstance(value, list):
        return "Array"
    return "String" if isinstance(value, str) else "Number"


def _quote(value: Any, pieces: list[str], room: int) -> int:
    """Append `value` to `pieces` until `room` characters are used up; return what is left of it."""
    if isinstance(value, dict | list) and value:
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        start = opening
        for item in value:
            if room <= 0:
                return room
            key = f"{_quoted_string(item)}:" if isinstance(value, dict) else ""
            pieces.append(start + key)
            room = _quote(value[item] if key else item, pieces, room - len(pieces[-1]))
            start = ","
        pieces.append(closing)
    elif isinstance(value, float):
        pieces.append(format_shortest(value))
    elif isinstance(value, str):
        pieces.append(_quoted_string(value))
    else:
        pieces.append(json.dumps(value))
    return room - len(pieces[-1])


def _quoted_string(value: str) -> str:
    return json.dumps(value[:_QUOTE_LIMIT], ensure_ascii=False)


class _Reader:
    """RapidJSON's recursive descent, byte by byte, which gives its errors."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = len(BOM) if text.startswith(BOM) else 0

    def document(self) -> Any:
        self._skip_space()
        if not self._peek():
            self._fail("The document is empty.")
        return self._value(0)

    def _fail(self, reason: str, offset: int | None = None) -> NoReturn:
        raise InvalidArgumentError(
            f"JSON Parse error: {reason} at offset: {self._at if offset is None else offset}"
        )

    def _peek(self) -> bytes:
        """Return the next byte; empty at the end, which for RapidJSON is also a zero byte."""
        return self._text[self._at : self._at + 1].rstrip(b"\x00")

    def _take(self, expected: bytes) -> bool:
        if self._text.startswith(expected, self._at):
            self._at += len(expected)
            return True
        return False

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _value(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            self._fail(f"Nested deeper than {_MAX_DEPTH} levels.")
        match self._peek():
            case b"{":
                return self._object(depth + 1)
            case b"[":
                return self._array(depth + 1)
            case b'"':
                return self._string()
            case b"n":
                return self._word(b"null", None)
            case b"t":
                return self._word(b"true", True)
            case b"f":
                return self._word(b"false", False)
            case _:
                return self._number()

    def _word(self, word: bytes, value: bool | None) -> bool | None:
        for index in range(len(word)):
            if not self._take(word[index : index + 1]):
                self._fail("Invalid value.")
        return value

    def _object(self, depth: int) -> dict[str, Any]:
        self._at += 1
        self._skip_space()
        members: dict[str, Any] = {}
        if self._take(b"}"):
            return members
        while True:
            if self._peek() != b'"':
                self._fail("Missing a name for object member.")
            name = self._string()
            self._skip_space()
            if not self._take(b":"):
                self._fail("Missing a colon after a name of object member.")
            self._skip_space()
            members.setdefault(name, self._value(depth))
            self._skip_space()
            if self._take(b"}"):
                return members
            if not self._take(b","):
                self._fail("Missing a comma or '}' after an object member.")
            self._skip_space()

    def _array(self, depth: int) -> list[Any]:
        self._at += 1
        self._skip_space()
        items: list[Any] = []
        if self._take(b"]"):
            return items
        while True:
            items += self._numbers()
            items.append(self._value(depth))
            self._skip_space()
            if self._take(b"]"):
                return items
            if not self._take(b","):
                self._fail("Missing a comma or ']' after an array element.")
            self._skip_space()

    def _numbers(self) -> list[Any]:
        """Return the plain numbers that come next."""
        found = _NUMBERS.match(self._text, self._at)
        if not found:
            return []
        try:
            numbers: list[Any] = orjson.loads(b"[%b]" % found[0].rstrip(b" \t\n\r,"))
        except orjson.JSONDecodeError:  # one of them is too large
            return []
        self._at = found.end()
        return numbers

    def _string(self) -> str:
        self._at += 1
        pieces: list[str] = []
        while True:
            plain = _PLAIN.match(self._text, self._at)
            if plain and plain.end() > self._at:
                pieces.append(plain.group().decode("utf-8", "surrogateescape"))
                self._at = plain.end()
            byte = self._peek()
            if byte == b'"':
                self._at += 1
                return "".join(pieces)
            if byte == b"\\":
                pieces.append(self._escape())
            elif byte:
                self._fail("Invalid escape character in string.")
            else:
                self._fail("Missing a closing quotation mark in string.")

    def _escape(self) -> str:
        start = self._at
        self._at += 1
        letter = self._peek()
        self._at += 1
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter != b"u":
            self._fail("Invalid escape character in string.", start)
        first = self._hex4(start)
        if not 0xD800 <= first <= 0xDFFF:
            return chr(first)
        if first > 0xDBFF or not self._take(b"\\u"):
            self._fail("The surrogate pair in string is invalid.", start)
        second = self._hex4(start)
        if not 0xDC00 <= second <= 0xDFFF:
            self._fail("The surrogate pair in string is invalid.", start)
        return chr(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))

    def _hex4(self, start: int) -> int:
        digits = self._text[self._at : self._at + 4]
        if not re.fullmatch(rb"[0-9a-fA-F]{4}", digits):
            self._fail("Incorrect hex digit after \\u escape in string.", start)
        self._at += 4
        return int(digits, 16)

    def _number(self) -> int | float:
        start = self._at
        match = _NUMBER.match(self._text, start)
        if not match:
            return self._nonread_float()
        self._at = match.end()
        whole = match.group(1) is None and match.group(2) is None
        following = self._peek()
        if whole and following == b".":
            self._fail("Miss fraction part in number.", self._at + 1)
        if match.group(2) is None and following in (b"e", b"E"):
            sign = self._text[self._at + 1 : self._at + 2] in (b"+", b"-")
            self._fail("Miss exponent in number.", self._at + 1 + sign)
        digits = match.group().decode()
        try:
            return read_whole(digits) if whole else read_float(digits)
        except ValueError:
            self._fail("Number too big to be stored in double.", start)

    def _nonread_float(self) -> float:
        sign = -1.0 if self._take(b"-") else 1.0
        word = b"NaN" if self._peek() == b"N" else b"Inf"
        self._word(word, None)
        if word == b"NaN":
            return math.nan
        if self._peek() == b"i":
            self._word(b"inity", None)
        return sign * math.inf
