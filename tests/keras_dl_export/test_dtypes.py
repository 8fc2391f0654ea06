"""One rule of casting, for a local runner and for a client."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from keras_dl_export import Runner, Spec, load_artifact
from keras_dl_export.dtypes import conform
from keras_dl_serving import InvalidRequestError, Signature, TensorSpec
from keras_dl_serving.client.inputs import prepare

Way = Callable[[Any, str], NDArray[Any]]


class Echo(Runner):
    """Return a file whose output is its input."""

    def run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return inputs


def run_here(value: Any, dtype: str) -> NDArray[Any]:
    specs = {"x": Spec(("batch",), dtype)}
    return Echo("serving_default", specs, specs)({"x": value})["x"]


def ask_server(value: Any, dtype: str) -> NDArray[Any]:
    specs = {"x": TensorSpec((None,), dtype)}
    found: NDArray[Any] = prepare({"x": value}, Signature(specs, specs))["x"]
    return found


both = pytest.mark.parametrize("way", [run_here, ask_server])


@both
@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.float64([1.5, np.nan, np.inf, -np.inf]), "float32"),
        (np.float64([65504]), "float16"),
        (np.float16([0.1]), "float64"),
        (np.array([0.5], ml_dtypes.bfloat16), "float32"),
        (np.float32([0.1]), "bfloat16"),
        ([1, 2, -3], "float32"),
        ([2**24, -(2**24), 2**24 + 2, 2**62], "float32"),
        (np.uint8([0, 255]), "float16"),
        (np.uint64([2**63]), "float32"),
        (np.int64([-(2**63)]), "float32"),
        ([-128, 127], "int8"),
        (np.int64([2**62]), "uint64"),
        ([True, False], "bool"),
        ([], "int32"),
        ([], "float32"),
    ],
)
def test_a_cast_keeps_whole_numbers_and_sizes(way: Way, value: Any, dtype: str) -> None:
    found = way(value, dtype)
    assert found.dtype.name == dtype
    given = np.asarray(value)
    if given.dtype.kind in "iu" and given.size:
        assert [int(v) for v in found] == [int(v) for v in given]
    else:
        np.testing.assert_allclose(found.astype(np.float64), given.astype(np.float64), rtol=1e-2)


@both
@pytest.mark.parametrize(
    ("value", "dtype", "got"),
    [
        (np.float64([0, 1e300]), "float32", "float64 with 1e.300"),
        (np.float64([70000]), "float16", "float64 with 70000"),
        ([2**24 + 1], "float32", "int64 with 16777217"),
        (np.int64([-(2**24) - 1]), "float32", "int64 with -16777217"),
        (np.int64([2**63 - 1]), "float64", "int64 with 9223372036854775807"),
        (np.uint64([2**64 - 1]), "float32", "uint64 with 18446744073709551615"),
        ([2049], "float16", "int64 with 2049"),
        ([257], "bfloat16", "int64 with 257"),
        ([100000], "float16", "int64 with 100000"),
        ([2**70], "float32", "a whole number of more than 64 bits"),
        ([1.0], "int32", "float64"),
        ([1.5], "int64", "float64"),
        ([2**31], "int32", "int64 with 2147483648"),
        ([256], "uint8", "int64 with 256"),
        ([-1], "uint64", "int64 with -1"),
        (np.uint64([2**63]), "int64", "uint64 with 9223372036854775808"),
        ([True], "float32", "bool"),
        ([True], "int32", "bool"),
        ([1], "bool", "int64"),
        ([1j], "float32", "complex128"),
        (["1"], "float32", "<U1"),
        ([b"1"], "int32", "S1.*Pillow"),
        ([None], "float32", "NoneType"),
        (None, "float32", "None"),
        ([[1.0], [1.0, 2.0]], "float32", "different lengths"),
        ([1], "string", "1 of type int"),
        ([["a"], ["b", "c"]], "string", "different lengths"),
        (["\ud800"], "string", "surrogate"),
    ],
)
def test_a_cast_that_changes_a_value_is_refused(way: Way, value: Any, dtype: str, got: str) -> None:
    with pytest.raises(
        (TypeError, ValueError, InvalidRequestError), match=rf"inputs\['x'\]: expected .*{got}"
    ):
        way(value, dtype)


def test_runner_and_client_raise_the_same_error() -> None:
    for value, dtype in (([True], "float32"), ([2**24 + 1], "float32"), ([[1.0]], "float32"), (None, "int8")):
        texts = []
        for way in (run_here, ask_server):
            with pytest.raises((TypeError, ValueError)) as caught:
                way(value, dtype)
            texts.append(str(caught.value))
        assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("shape", "advice"),
    [((2, 2, 1), r"x\[None\]"), ((5, 2, 2), r"x\[\.\.\., None\]"), ((5, 3, 2, 1), r"\(5, 3, 2, 1\)\.$")],
)
def test_a_missing_axis_is_named(shape: tuple[int, ...], advice: str) -> None:
    with pytest.raises(ValueError, match=rf"x: expected shape \(batch, 2, 2, 1\), got .*{advice}"):
        conform("x", np.zeros(shape), "float32", ("batch", 2, 2, 1))


def test_bytes_and_text_are_the_same_string_in_onnx(tmp_path: Path) -> None:
    vector = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.STRING, ["batch"]) for name in "xy"]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "same", vector[:1], vector[1:])
    opsets = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), str(tmp_path / "m.onnx"))
    runner = load_artifact(tmp_path / "m.onnx")
    for given in (["a", "\u00e4"], [b"a", "\u00e4".encode()], np.array([b"a", b"\xc3\xa4"])):
        assert runner({"x": given})["y"].tolist() == ["a", "\u00e4"]
