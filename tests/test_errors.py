"""The texts of all errors and warnings: a change of one shows in tests/errors.txt."""

from __future__ import annotations

import ast

from tests._support.error_texts import TEXTS, error_texts, texts


def test_the_texts_are_those_of_the_snapshot() -> None:
    assert TEXTS.read_text("utf-8") == error_texts(), "if the change is intended, run: uv run just errors"


def test_a_text_is_a_template() -> None:
    source = 'raise errors.ValueError("size: expected " f"{most:.2f}, got {size!r}. " + remedy(size), path)'
    expected = "ValueError: size: expected {most:.2f}, got {size!r}. {remedy(size)}"
    assert list(texts(ast.parse(source))) == [expected]
