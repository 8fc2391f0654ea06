"""Every conformance test on two devices: in a process that splits the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conformance.registry import CASES, Case

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[ElementTree.Element]]:
    """The results of the tests by case."""
    report = tmp_path_factory.mktemp("two_devices") / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance.two_devices", str(report)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, list[ElementTree.Element]] = {}
    for test in ElementTree.parse(report).iter("testcase"):
        found.setdefault(test.attrib["name"].partition("[")[2].rstrip("]"), []).append(test)
    return found


@pytest.mark.timeout(1260)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_test_holds_on_two_devices(case: Case, outcomes: dict[str, list[ElementTree.Element]]) -> None:
    tests = outcomes[case.name]
    assert len(tests) >= 10
    for test in tests:
        for wrong in [*test.iter("failure"), *test.iter("error")]:
            pytest.fail(f"{test.attrib['name']}: {wrong.text}")
