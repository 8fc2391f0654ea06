"""The export matrix shows the result of every specimen."""

import importlib.util
import json
from pathlib import Path

import pytest

from docs.zoo.families import FAMILIES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def export_matrix():
    spec = importlib.util.spec_from_file_location("export_matrix", DOCS / "export_matrix.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_matches_the_records_and_they_match_the_zoo(export_matrix):
    records = json.loads(export_matrix.RECORDS.read_text())
    missing = export_matrix.missing_of(records)
    assert export_matrix.page(records, missing) == export_matrix.PAGE.read_text()
    for family, specimens in FAMILIES.items():
        assert list(records[family]) == [each.name for each in specimens if each.name not in missing]


def test_the_records_refuse_what_the_specimens_declare_as_refused(export_matrix):
    records = json.loads(export_matrix.RECORDS.read_text())
    columns = {"saved_model": "SavedModel", "tflite": "TFLite", "onnx": "ONNX"}
    for family, specimens in FAMILIES.items():
        for specimen in specimens:
            if specimen.name in records[family]:
                found = records[family][specimen.name]["found"]
                refused = {format for format, column in columns.items() if "refused" in found[column]}
                assert refused == set(specimen.refused), specimen.name


def test_equal_reasons_share_a_number(export_matrix):
    good = {"max_abs_error": 2e-7, "remarks": ["it is a loop, which is slower."]}
    bad = {"refused": "it cannot."}
    found = {column: good if column == "ONNX" else bad for column in export_matrix.COLUMNS}
    record = {"found": found, "seconds": 60.0, "versions": "keras 3"}
    page = export_matrix.page({"Kind": {"A": record, "B": record}}, ["C"])
    row = " | ".join("2e-07 [2]" if column == "ONNX" else "no [1]" for column in export_matrix.COLUMNS)
    assert f"| A | {row} |\n| B | {row} |\n" in page
    assert "1. it cannot.\n2. it is a loop, which is slower.\n" in page
    assert page.endswith("2 models, 2 minutes on two shared CPU cores, with keras 3.\nNot measured: C.\n")
