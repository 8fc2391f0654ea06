"""The README's Python code runs as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the README's block of Python of that number in an empty folder; return its names."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2, "each block has its test"
    monkeypatch.chdir(tmp_path)

    def run_block(number):
        names = {"__name__": "readme"}
        exec(compile(blocks[number], str(README), "exec"), names)
        return names

    return run_block


def test_the_first_example_runs_and_its_answers_agree(run, tmp_path, capsys):
    run(0)
    onnx, server = capsys.readouterr().out.strip().splitlines()[-2:]
    assert onnx == server, "the file and the server gave the same classes beside the same labels"
    answer, truth = re.findall(r"\[([\d ]+)\]", onnx)
    right = sum(a == b for a, b in zip(answer.split(), truth.split(), strict=True))
    assert right >= 7, "a trained model knows at least seven of eight digits"
    assert (tmp_path / "releases" / "digits-cnn" / "1" / "release.json").exists()


def test_a_trained_model_draws_digits_of_several_kinds(run):
    digits = np.asarray(run(1)["digits"])
    assert digits.shape[0] == 16
    assert digits.min() >= 0
    assert digits.max() <= 1
    assert digits.max(axis=(1, 2, 3)).min() > 0.5, "there is ink on each image"
    assert digits.std(axis=0).mean() > 0.05, "they differ"
