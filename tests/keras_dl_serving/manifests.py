"""A strict reader of plain YAML, and a strict check against JSON schemas, without a library for either.

Both refuse what they do not know: the reader any line outside of block mappings, block lists, JSON values
and plain words; the check any keyword of JSON Schema that it does not implement.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_KEY = re.compile(r"([A-Za-z_][\w./-]*):(?: +|$)")
# No indicator at the start, nothing that YAML 1.1 reads as something else than text.
_WORD = re.compile(r"[A-Za-z/.][^#:\s]*(?::[^#\s]+)*|--?[a-z][\w-]*|\d+[a-zA-Z]+|[a-z0-9.]+/[^#\s]+")
_NO_TEXT = {"yes", "no", "on", "off", "null", "y", "n", "true", "false"}
_Line = tuple[int, str]


def read_yaml(text: str) -> list[Any]:
    """The documents of a file."""
    return [_document(part) for part in re.split(r"(?m)^---\n", text)]


def _document(text: str) -> Any:
    lines: list[_Line] = []
    for line in text.splitlines():
        content = line.lstrip(" ")
        if content and not content.startswith("#"):
            lines.append((len(line) - len(content), content))
    value = _block(lines)
    if lines:
        raise ValueError(f"not indented like its neighbours: {lines[0][1]!r}")
    return value


def _block(lines: list[_Line]) -> Any:
    """The mapping or list that begins with the first line; takes its lines away."""
    indent, first = lines[0]
    return _list(lines, indent) if first.startswith("- ") else _mapping(lines, indent)


def _list(lines: list[_Line], indent: int) -> list[Any]:
    found = []
    while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
        content = lines[0][1][2:]
        if _KEY.match(content):
            lines[0] = (indent + 2, content)
            found.append(_mapping(lines, indent + 2))
        else:
            lines.pop(0)
            found.append(_scalar(content))
    return found


def _mapping(lines: list[_Line], indent: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while lines and lines[0][0] == indent and not lines[0][1].startswith("- "):
        line = lines.pop(0)[1]
        key = _KEY.match(line)
        if not key or key[1] in found:
            raise ValueError(f"no key, or one that is there already: {line!r}")
        rest = line[key.end() :]
        if rest and not rest.startswith("#"):
            found[key[1]] = _scalar(rest)
        elif lines and lines[0][0] > indent:
            found[key[1]] = _block(lines)
        else:
            raise ValueError(f"a key without a value: {line!r}")
    return found


def _scalar(text: str) -> Any:
    try:
        value, end = json.JSONDecoder().raw_decode(text)
        if re.fullmatch(r"( +#.*)?", text[end:]):
            return value
    except ValueError:
        pass
    word = re.sub(r" +#.*", "", text)
    if not _WORD.fullmatch(word) or word.lower() in _NO_TEXT:
        raise ValueError(f"expected a value of JSON or a plain word, got {text!r}")
    return word


_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}
_KEYWORDS = {
    *("type", "const", "enum", "pattern", "minimum", "minItems", "required", "properties"),
    *("additionalProperties", "items", "$ref", "$defs", "$schema", "$comment"),
}


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any], path: str = "") -> Iterator[str]:
    """What is wrong with `value`, each with its path."""
    if unknown := set(schema) - _KEYWORDS:
        raise NotImplementedError(f"keywords of JSON Schema: {unknown}")
    if "$ref" in schema:
        yield from faults(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, path)
    kind = schema.get("type")
    wrong = kind and (not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"))
    if wrong:
        yield f"{path}: expected {kind}, got {value!r}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{path}: expected {schema['const']!r}, got {value!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: expected one of {schema['enum']}, got {value!r}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: expected {schema['pattern']}, got {value!r}"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{path}: expected at least {schema['minimum']}, got {value!r}"
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{path}: too short"
        for index, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), root, f"{path}/{index}")
    if isinstance(value, dict):
        yield from (f"{path}: {key} is missing" for key in schema.get("required", ()) if key not in value)
        for key, item in value.items():
            each = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            if each is False:
                yield f"{path}: no such field: {key}"
            elif each is not True:
                yield from faults(item, each, root, f"{path}/{key}")
