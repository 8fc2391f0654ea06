"""Every chapter runs as its docstring states, and writes its picture."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
CHAPTERS = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))


def test_every_chapter_exists():
    assert [path.name[:2] for path in CHAPTERS] == [f"{number:02d}" for number in range(1, 16)]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_states_its_command_time_and_expected_result(path):
    opening = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert f"python examples/{path.name} [--quick] [--out FILE]" in opening
    assert "second" in opening or "minute" in opening
    assert "Expected: " in opening


@pytest.mark.slow
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_and_writes_its_picture(path, tmp_path):
    picture = tmp_path / "pictures" / "chapter.png"
    environment = {**os.environ, "TFDS_DATA_DIR": str(tmp_path / "none")}  # the embedded data alone
    ran = subprocess.run(
        [sys.executable, path, "--quick", "--out", picture],
        capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=280, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert f"Picture: {picture}" in ran.stdout
    with Image.open(picture) as image:
        assert image.width >= 600
        assert len(image.convert("L").getcolors()) > 20, "something is drawn"


def test_the_gallery_shows_every_chapter():
    docs = EXAMPLES.parent / "docs"
    spec = importlib.util.spec_from_file_location("gallery", docs / "gallery.py")
    gallery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gallery)
    assert gallery.page(CHAPTERS) == (docs / "gallery.md").read_text(encoding="utf-8")
    for path in CHAPTERS:
        assert (docs / "gallery" / f"{path.stem}.png").stat().st_size < 150_000
