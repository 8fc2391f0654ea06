"""The Python blocks of docs/export.md run unchanged."""

import re
from pathlib import Path

import keras
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run_block(number, **given):
        names = {"__name__": "page", **given}
        exec(compile(BLOCKS[number], str(PAGE), "exec"), names)
        return names

    return run_block


def test_every_block_is_tested():
    assert len(BLOCKS) == 3


@pytest.mark.slow
def test_recurrent_layers_become_native_nodes(run):
    names = run(0)
    operators = names["onnx"].operators
    assert (operators["GRU"], operators["LSTM"]) == (2, 1), "a node for each direction"
    assert not {"Loop", "Scan", "If"} & set(operators)
    assert not any("FLEX" in name.upper() or "CUSTOM" in name for name in names["tflite"].operators)
    (state,) = names["state"].values()
    assert state.shape == (3, 8)


def test_a_release_is_quantized_and_verified(run):
    files = {artifact.path.name: artifact for artifact in run(1)["release"].artifacts}
    assert files["model.tflite"].quantize == "int8"
    assert files["serving_default.onnx"].quantize == "float16"
    accuracy = files["model.tflite"].accuracy
    assert accuracy.examples == 359, "the whole test split"
    assert accuracy.before > 0.97
    assert accuracy.drop <= 0.01


def test_a_file_of_another_converter_is_verified(run):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.predict(keras.ops.ones((1, 4)), verbose=0)  # Keras exports what was called
    model.export("theirs.onnx", format="onnx", verbose=False)
    assert "large" in run(2, model=model)["parity"].kinds
