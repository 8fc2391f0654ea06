"""docs/architecture.md: its pictures and tables match the imports."""

from itertools import pairwise
from pathlib import Path

import pytest

from docs import architecture

DOCS = Path(architecture.__file__).parent


def test_the_page_and_the_pictures_match_the_imports():
    text = architecture.PAGE.read_text()
    assert architecture.page(text) == text, "run: uv run just architecture"
    for package in architecture.PACKAGES:
        drawn = (DOCS / "architecture" / f"{package}.svg").read_text()
        assert drawn == architecture.picture(package), "run: uv run just architecture"


def test_implied_arrows_are_omitted():
    edges = {("a", "b"), ("b", "c"), ("a", "c"), ("a", "d"), ("d", "c")}
    assert architecture.without_implied(edges) == edges - {("a", "c")}


def test_a_part_stands_above_all_that_it_imports():
    ranks = architecture.ranks_of("abcd", {("a", "b"), ("b", "c"), ("a", "c")})
    assert ranks == {"a": 2, "b": 1, "c": 0, "d": 0}


def test_a_circle_is_an_error():
    with pytest.raises(ValueError, match="no circle, got a -> b -> a"):
        architecture.ranks_of("ab", {("a", "b"), ("b", "a")})


def test_boxes_of_a_row_do_not_overlap():
    parts = [f"part_{number}" for number in range(12)]
    edges = {(high, low) for high, low in zip(parts, parts[6:], strict=False)} | {
        (parts[0], low) for low in parts[3:5]
    }
    rows, pieces = architecture.rows_of(parts, edges, {part: part for part in parts})
    architecture.place(rows, pieces)
    for row in rows:
        for left, right in pairwise(row):
            assert right.x - right.width / 2 > left.x + left.width / 2
