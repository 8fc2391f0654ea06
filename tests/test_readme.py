"""The README's Python code runs as it stands there."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_readmes_code_runs_and_its_answers_agree(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(README), "exec"), {"__name__": "readme"})
    onnx, server = capsys.readouterr().out.strip().splitlines()[-2:]
    assert onnx == server, "the file and the server gave the same classes beside the same labels"
    answer, truth = re.findall(r"\[([\d ]+)\]", onnx)
    right = sum(a == b for a, b in zip(answer.split(), truth.split(), strict=True))
    assert right >= 7, "a trained model knows at least seven of eight digits"
    assert (tmp_path / "releases" / "digits-cnn" / "1" / "release.json").exists()
