"""Reading of text files in any encoding."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is a prefix of it
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: Path, encoding: str | None) -> str:
    """Return the text of a file, decompressed if it is a gzip file, without its byte order mark.

    Args:
        path: the file.
        encoding: the name of a Python encoding; by default that of the byte order mark, or else UTF-8.

    Raises:
        ValueError: the encoding is unknown, or the file is not valid in it.
    """
    content = path.read_bytes()
    if content.startswith(b"PK\x03\x04"):
        raise ValueError(
            f"source: expected a text file, got {path}, which is a ZIP archive or a spreadsheet workbook. "
            "Unpack it, or save the workbook as a CSV file."
        )
    if path.suffix.lower() == ".gz" or content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(
                f"source: {path} cannot be decompressed ({error}). Compress it again with gzip, or remove "
                ".gz from its name if it is not compressed."
            ) from None
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if marked == "utf-8-sig" and not (encoding or "utf").lower().startswith("utf"):
        encoding = None  # the byte order mark of UTF-8 is not text in any other encoding
    chosen = encoding or marked or "utf-8"
    try:
        text = content.decode(chosen).removeprefix("\ufeff")
    except LookupError:
        raise ValueError(
            f"encoding: expected the name of an encoding, got {encoding!r}. Pass for example 'utf-8', "
            "'latin-1', 'cp1252', 'utf-16' or 'shift_jis'."
        ) from None
    except UnicodeError as error:
        raise ValueError(_wrong_encoding(path, content, chosen, error)) from None
    if "\0" in text:
        even, odd = (text[first::2].count("\0") / (len(text) / 2) for first in (0, 1))
        wide = "utf-16-le" if odd > 0.7 > even else "utf-16-be" if even > 0.7 > odd else None
        remedy = f"Pass encoding={wide!r}." if wide else "Pass a text file."
        raise ValueError(
            f"source: expected a text in {chosen.upper()}, got NUL characters in {path}. {remedy}"
        )
    return text


def _wrong_encoding(path: Path, content: bytes, chosen: str, error: UnicodeError) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return f"source: expected a text in {chosen.upper()}, got {path} ({error}). Pass its encoding=."
    start = error.start
    line = content.count(b"\n", 0, start) + 1
    if error.reason == "truncated data":
        return (
            f"source: expected a text in {chosen.upper()}, got {path}, which ends within a character. Copy "
            "it again."
        )
    guess = "cp1252" if any(0x80 <= byte < 0xA0 for byte in content[start : start + 10_000]) else "latin-1"
    if chosen != "utf-8" and _is_utf8(content):
        guess = "utf-8"
    context = content[max(0, start - 12) : start + 12].decode(guess, "replace")
    return (
        f"source: expected a text in {chosen.upper()}, got {error.reason} at byte {start:,}, in line "
        f"{line:,}, of {path}. Pass the encoding of the file; encoding={guess!r} would read {context!r} "
        "there."
    )


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
