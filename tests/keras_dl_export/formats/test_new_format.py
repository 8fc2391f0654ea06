"""A format as an exercise, a dense network in a NumPy archive: a class, and a line in the registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_dl_export import ConversionError, ParityError, export, load_artifact, open_release, verify
from keras_dl_export.format import Format
from keras_dl_export.formats import registry
from keras_dl_export.runner import Arrays, Runner
from keras_dl_export.specs import DEFAULT_ENDPOINT, Spec

_STEPS = {
    "MatMul": lambda x, array: x @ array,
    "BiasAdd": lambda x, array: x + array,
    "Relu": lambda x, array: np.maximum(x, 0),
}
_NEUTRAL = {"Placeholder", "ReadVariableOp", "Identity", "NoOp"}


class NpzRunner(Runner):
    """The steps of a dense network, one array each, in order."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as archive:
            self._steps = [(name.partition("-")[2], archive[name]) for name in archive.files if "-" in name]
            input, output = (str(archive[side]) for side in ("input", "output"))
        first, last = ([array for _, array in self._steps if array.ndim == 2][place] for place in (0, -1))
        super().__init__(
            DEFAULT_ENDPOINT,
            {input: Spec(("batch", len(first)), "float32")},
            {output: Spec(("batch", last.shape[1]), "float32")},
        )

    def run(self, inputs: Arrays) -> Arrays:
        (x,) = inputs.values()
        for kind, array in self._steps:
            x = _STEPS[kind](x, array)
        return dict.fromkeys(self.outputs, x)


class NpzFormat(Format):
    name = "npz"
    title = "NPZ"
    scale = 1.0  # of what is written

    def recognizes(self, path: Path) -> bool:
        return path.is_file() and path.read_bytes()[:2] == b"PK"

    def open(self, path: Path, threads: int | None) -> Mapping[str, Runner]:
        return {DEFAULT_ENDPOINT: NpzRunner(path)}

    def files(self, endpoints: Iterable[str]) -> dict[str, tuple[str, ...]]:
        return {f"npz/{name}.npz": (name,) for name in endpoints}

    def write(
        self, signatures: Mapping[str, Any], path: Path, quantization: Any = None, saved_model: Any = None
    ) -> None:
        (signature,) = signatures.values()
        graph = signature.function.graph
        handles = {inner.name: id(handle) for handle, inner in graph.captures}
        values = {id(variable.handle): variable.numpy() for variable in graph.variables}
        arrays: dict[str, Any] = {
            "input": next(iter(signature.inputs)),
            "output": next(iter(signature.outputs)),
        }
        for place, operation in enumerate(graph.get_operations()):
            if operation.type in _NEUTRAL:
                continue
            if operation.type not in _STEPS:
                raise ConversionError(f"npz: {operation.type} in {operation.name!r}. Use Dense layers alone.")
            read = [each.op.inputs[0].name for each in operation.inputs if each.op.type == "ReadVariableOp"]
            arrays[f"{place}-{operation.type}"] = values[handles[read[0]]] * self.scale if read else 0.0
        with path.open("wb") as file:
            np.savez(file, **arrays)

    def count_operators(self, path: Path, signatures: Mapping[str, Any]) -> Mapping[str, int]:
        with np.load(path) as archive:
            kinds = [name.partition("-")[2] for name in archive.files if "-" in name]
        return {kind: kinds.count(kind) for kind in kinds}


@pytest.fixture
def npz(monkeypatch: pytest.MonkeyPatch) -> NpzFormat:
    format = NpzFormat()
    monkeypatch.setattr(registry, "FORMATS", (*registry.FORMATS, format))
    return format


@pytest.fixture(scope="module")
def dense() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4,), name="iris"),
            keras.layers.Dense(8, activation="relu", bias_initializer="normal"),
            keras.layers.Dense(3),
        ]
    )


def test_a_new_format_is_exported_checked_and_loaded(
    dense: keras.Model, npz: NpzFormat, tmp_path: Path
) -> None:
    steps: list[str] = []
    release = export(dense, tmp_path / "iris", formats=("onnx", "npz"), progress=steps.append)
    assert [artifact.format for artifact in release.artifacts] == ["saved_model", "onnx", "npz"]
    assert "Checking NPZ: serving_default" in steps
    artifact = open_release(release).artifacts[-1]
    assert artifact.path == release.path / "npz" / "serving_default.npz"
    assert artifact.label == "npz/serving_default.npz"
    assert artifact.operators == {"MatMul": 2, "BiasAdd": 2, "Relu": 1}
    assert artifact.max_abs_error < 1e-6
    assert {timing.format for timing in release.timings} == {"saved_model", "onnx", "npz"}
    assert "npz/serving_default.npz" in {each.file for each in verify(release, dense).comparisons}
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    for runner in (load_artifact(release, format="npz"), load_artifact(artifact.path)):
        np.testing.assert_allclose(runner({"iris": x})["output"], dense(x), atol=1e-6)


def test_a_wrong_file_of_a_new_format_is_no_release(
    dense: keras.Model, npz: NpzFormat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "scale", 1.01)
    with pytest.raises(ParityError, match=r"npz/serving_default\.npz: endpoint 'serving_default', output"):
        export(dense, tmp_path / "iris", formats=("npz",))
    assert not (tmp_path / "iris").exists()


def test_a_new_format_refuses_what_it_cannot_express(npz: NpzFormat, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="tanh")])
    with pytest.raises(ConversionError, match=r"npz: Tanh in .*Use Dense layers alone"):
        export(model, tmp_path / "tanh", formats="npz")


def test_an_unregistered_format_is_refused(dense: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"formats: expected any of saved_model, tflite, onnx, got 'npz'"):
        export(dense, tmp_path / "iris", formats=("npz",))
