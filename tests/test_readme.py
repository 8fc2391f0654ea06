"""The README's Python code runs as it stands there, in a notebook: in a kernel whose event loop runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

README = Path(__file__).parents[1] / "README.md"
LOOP_RUNS = "import asyncio; asyncio.get_running_loop()"
DRAWN = """
drawn = digits if hasattr(digits, "mean") else digits.numpy()
print(drawn.shape[0], drawn.min(), drawn.max(), drawn.max(axis=(1, 2, 3)).min(), drawn.std(axis=0).mean())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebook runs."""
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def printed(folder: Path) -> list[str]:
    """What each block of Python of the README prints, and last what the second one has drawn."""
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient, of the dev group")
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat, of the dev group")
    pytest.importorskip("ipykernel", reason="needs ipykernel, of the dev group")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2, "each block has its test"
    new = nbformat.v4
    notebook = new.new_notebook(cells=[new.new_code_cell(cell) for cell in (LOOP_RUNS, *blocks, DRAWN)])
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=250, kernel_name="python3", resources=resources).execute()
    return [
        "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
        for cell in notebook.cells[1:]
    ]


def test_the_first_example_runs_and_its_answers_agree(printed: list[str], folder: Path) -> None:
    onnx, server = re.findall(r"^(\[[\d ]+\]) (\[[\d ]+\])$", printed[0], re.MULTILINE)
    assert onnx == server, "the file and the server gave the same classes beside the same labels"
    answer, truth = (classes.strip("[]").split() for classes in onnx)
    right = sum(a == b for a, b in zip(answer, truth, strict=True))
    assert right >= 7, "a trained model knows at least seven of eight digits"
    assert (folder / "releases" / "digits-cnn" / "1" / "release.json").exists()


def test_a_trained_model_draws_digits_of_several_kinds(printed: list[str]) -> None:
    count, least, most, ink, spread = map(float, printed[-1].split())
    assert count == 16
    assert least >= 0
    assert most <= 1
    assert ink > 0.5, "there is ink on each image"
    assert spread > 0.05, "they differ"
