"""JSON documents as TensorFlow Serving reads them.

Almost every document is plain JSON that orjson reads at once. Only a document that orjson refuses goes
through slower readers: a lenient one for what RapidJSON accepts beyond JSON, then RapidJSON's own rules
(`rapidjson_compat`), which decide whether it is an error and name it.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.json.json_numbers import read_float, read_whole
from keras_dl_serving.protocol.json.rapidjson_compat import BOM, read_document

_STRING = re.compile(rb'("(?:[^"\\]++|\\.)*+")(\s*:)?', re.DOTALL)  # with the colon: a name
_FEW_NAMES = 8  # up to which counting each name is faster than scanning all strings


def parse(text: bytes) -> Any:
    """Return the value of a JSON document; text after its end is ignored.

    Of duplicate names in the document itself, or in its `inputs`, the first counts, as in RapidJSON's
    `FindMember`.

    Raises:
        InvalidArgumentError: `JSON Parse error: ...`.
    """
    if not text:
        raise InvalidArgumentError("JSON Parse error: The document is empty")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _parse_slowly(text)
    return _parse_slowly(text) if _may_repeat_names(text, value) else value


def _may_repeat_names(text: bytes, value: Any) -> bool:
    """Return whether the text may have duplicate names, of which orjson keeps the last."""
    if not isinstance(value, dict):
        return False
    inputs = value.get("inputs")
    names = [*value, *inputs] if isinstance(inputs, dict) else [*value]
    # Usually everything else is numbers: then there are no more quotation marks than those of the names.
    at = -1
    for _ in range(2 * len(names) + 1):
        at = text.find(b'"', at + 1)
        if at < 0:
            return False
    wanted = {*names}
    if len(wanted) <= _FEW_NAMES and b"\\" not in text:
        return any(text.count(b'"%b"' % name.encode()) > names.count(name) for name in wanted)
    # One pass, whatever the number of names: a pass for each would let a small body take minutes.
    return sum(_name(match) in wanted for match in _STRING.finditer(text) if match[2]) > len(names)


def _name(match: re.Match[bytes]) -> str:
    plain = b"\\" not in match[1]
    name: str = match[1].decode() if plain else orjson.loads(match[1])
    return name[1:-1] if plain else name


def _parse_slowly(text: bytes) -> Any:
    try:
        return _parse_lenient(text)
    except (ValueError, RecursionError):
        return read_document(text)


def _parse_lenient(text: bytes) -> Any:
    """Read a document with non-finite numbers, bytes that are not UTF-8, or text after its end.

    Python's reader is less strict than RapidJSON; on a document that it might read differently, this raises
    ValueError.
    """
    if b"\\u" in text:  # a surrogate without its pair
        raise ValueError
    document = text.removeprefix(BOM).lstrip(b" \t\n\r").decode("utf-8", "surrogateescape")
    value, _ = _LENIENT.raw_decode(document)
    return value


def _first_wins(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    return found if len(found) == len(members) else {**found, **dict(reversed(members))}


_LENIENT = json.JSONDecoder(parse_float=read_float, parse_int=read_whole, object_pairs_hook=_first_wins)
