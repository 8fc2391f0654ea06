"""A strict reader of plain YAML, and a check by a JSON schema.

The reader refuses any line outside of block mappings, block lists, JSON values and plain words: what all
readers of YAML agree on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

_KEY = re.compile(r"([A-Za-z_][\w./-]*):(?: +|$)")
# No indicator at the start, nothing that YAML 1.1 reads as something else than text.
_WORD = re.compile(r"[A-Za-z/.][^#:\s]*(?::[^#\s]+)*|--?[a-z][\w-]*|\d+[a-zA-Z]+|[a-z0-9.]+/[^#\s]+")
_NO_TEXT = {"yes", "no", "on", "off", "null", "y", "n", "true", "false"}
_Line = tuple[int, str]


def read_yaml(text: str) -> list[Any]:
    """Return the documents of a file."""
    return [_document(part) for part in re.split(r"(?m)^---\n", text)]


def _document(text: str) -> Any:
    lines: list[_Line] = []
    for line in text.splitlines():
        content = line.lstrip(" ")
        if content and not content.startswith("#"):
            lines.append((len(line) - len(content), content))
    value = _block(lines)
    if lines:
        raise ValueError(f"not indented like its neighbors: {lines[0][1]!r}")
    return value


def _block(lines: list[_Line]) -> Any:
    """Return the mapping or list that begins with the first line, and remove its lines."""
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


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Iterator[str]:
    """Yield the violations of `schema` in `value`, each with its path; `root` holds its definitions."""
    Draft202012Validator.check_schema(root)
    for error in Draft202012Validator({**root, **schema}).iter_errors(value):
        yield f"{error.json_path}: {error.message}"
