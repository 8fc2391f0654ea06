"""mypy on a user's program, in a process of its own with the strict settings and without this project's."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """The errors of mypy, by file: {(line, code), ...}."""
    home = tmp_path_factory.mktemp("user")
    for name in ("user_program.py", "wrong_calls.py"):
        (home / name).write_text((FOLDER / name).read_text())
    # The three packages are installed for this interpreter, as they are for a user.
    command = [sys.executable, "-m", "mypy", "--strict", "user_program.py", "wrong_calls.py"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=280)
    assert done.returncode == 1, done.stdout + done.stderr
    errors = re.findall(r"^(\w+\.py):(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    assert len(errors) == done.stdout.count(": error:"), done.stdout
    by_file = {"user_program.py": set(), "wrong_calls.py": set()}
    for file, line, code in errors:
        by_file[file].add((int(line), code))
    return by_file


def test_a_users_program_has_no_type_errors(complaints):
    assert not complaints["user_program.py"]


def test_wrong_calls_are_type_errors(complaints):
    lines = (FOLDER / "wrong_calls.py").read_text().splitlines()
    expected = {
        (number, comment[1])
        for number, line in enumerate(lines, 1)
        if (comment := re.search(r"  # ([\w-]+)$", line))
    }
    assert complaints["wrong_calls.py"] == expected
