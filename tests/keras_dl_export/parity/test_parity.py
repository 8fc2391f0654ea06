"""Parity: a file that returns other numbers is refused."""

from typing import Any

import numpy as np
import pytest

from keras_dl_export import ParityError, Runner, Spec
from keras_dl_export.comparing import differs
from keras_dl_export.parity.checking import check_parity
from keras_dl_export.samples.references import Reference, Sample

# The scale of each sample is its own: 40, 2 and 3.
LOGITS = np.array([[0.0, 1.0, 40.0], [2.0, 2.0 - 1e-5, 0.0], [3.0, 0.0, 1.0]], np.float32)


class Fake(Runner):
    """A runner that returns the given arrays, one for each call."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        specs = {name: Spec(array.shape, array.dtype.name) for name, array in answers[0].items()}
        super().__init__("serving_default", {"x": Spec(("batch",), "float32")}, specs)
        self._answers = answers
        self._calls = 0

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        self._calls += 1
        return self._answers[(self._calls - 1) % len(self._answers)]


def _check(
    expected: dict[str, Any], *answers: dict[str, Any], precision: str = "float32", **options: Any
) -> Any:
    sample = Sample({"batch": 3}, {"x": np.zeros(3, np.float32)}, expected)
    specs = {name: Spec(array.shape, array.dtype.name) for name, array in expected.items()}
    reference = Reference("serving_default", {"x": Spec(("batch",), "float32")}, specs, (sample,), precision)
    return check_parity(
        {"serving_default": Fake(*answers)}, {"serving_default": reference}, "model.onnx", **options
    )


def _changed(array: np.ndarray, index: tuple[int, ...], value: float) -> np.ndarray:
    changed = array.copy()
    changed[index] = value
    return changed


def test_the_error_names_endpoint_output_worst_index_and_both_values() -> None:
    wrong = _changed(_changed(LOGITS, (0, 1), 1.1), (2, 0), 3.5)
    with pytest.raises(ParityError) as caught:
        _check({"logits": LOGITS}, {"logits": wrong})
    message = str(caught.value)
    assert message.startswith(
        "model.onnx: endpoint 'serving_default', output 'logits', batch 3, index (2, 0): "
    )
    assert "expected 3.0, got 3.5; a difference of 0.5, while 4e-05 is allowed" in message


@pytest.mark.parametrize(("row", "scale"), [(0, 40.0), (1, 2.0), (2, 3.0)])
def test_the_tolerance_is_relative_to_the_samples_largest_magnitude(row: int, scale: float) -> None:
    allowed, value = 1e-5 * (1 + scale), float(LOGITS[row, 1])
    near = {"y": _changed(LOGITS, (row, 1), value + 0.9 * allowed)}
    assert _check({"y": LOGITS}, near).max_abs_error == pytest.approx(0.9 * allowed, rel=0.05)
    with pytest.raises(ParityError, match=rf"index \({row}, 1\)"):
        _check({"y": LOGITS}, {"y": _changed(LOGITS, (row, 1), value + 1.1 * allowed)})


def test_an_output_without_an_axis_of_samples_has_one_scale() -> None:
    table = np.array([[0.0, 1.0], [40.0, 2.0]], np.float32)
    assert _check({"y": table}, {"y": _changed(table, (0, 0), 3e-4)}).max_abs_error > 0.0


def test_half_precision_models_have_a_tolerance_of_their_own() -> None:
    wrong = {"y": _changed(LOGITS, (0, 1), 1.1)}
    with pytest.raises(ParityError):
        _check({"y": LOGITS}, wrong)
    assert _check({"y": LOGITS}, wrong, precision="float16").comparisons[0].tolerance == pytest.approx(0.41)


def test_the_second_call_is_compared() -> None:
    with pytest.raises(ParityError, match=r"index \(0, 0\): expected 0.0, got 9.0"):
        _check({"y": LOGITS}, {"y": LOGITS}, {"y": _changed(LOGITS, (0, 0), 9.0)})


def test_a_quantized_file_is_compared_on_real_inputs_alone() -> None:
    samples = tuple(
        Sample({"batch": size}, {"x": np.zeros(size, np.float32)}, {"y": LOGITS[:size]}, (kind,))
        for kind, size in (("real", 3), ("uniform", 2))
    )
    specs = {"y": Spec(("batch", 3), "float32")}
    reference = Reference("serving_default", {"x": Spec(("batch",), "float32")}, specs, samples, "float32")
    answers = [{"y": LOGITS}, {"y": LOGITS}, {"y": LOGITS[:2] + 9}, {"y": LOGITS[:2] + 9}]

    def check(quantize: str | None) -> Any:
        runners = {"serving_default": Fake(*answers)}
        return check_parity(runners, {"serving_default": reference}, "model.onnx", quantize)

    for quantize in ("int8", "dynamic", "float16"):
        assert [comparison.inputs for comparison in check(quantize).comparisons] == ["real"]
    with pytest.raises(ParityError, match=r"batch 2, index .* a difference of 9, while"):
        check(None)
    answers[2:] = [{"y": LOGITS[:2] * np.nan}] * 2
    with pytest.raises(ParityError, match=r"batch 2, index .* must return numbers"):
        check("int8")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_only_the_same_non_finite_number_is_equal(value: float) -> None:
    strange = _changed(LOGITS, (1, 1), value)
    assert _check({"y": strange}, {"y": strange}).max_abs_error == 0.0
    with pytest.raises(ParityError, match=r"index \(1, 1\)"):
        _check({"y": LOGITS}, {"y": strange})
    with pytest.raises(ParityError, match=r"index \(1, 1\)"):
        _check({"y": strange}, {"y": LOGITS})


def test_an_argmax_may_differ_where_its_logits_tie() -> None:
    labels = LOGITS.argmax(axis=-1).astype(np.int32)
    assert labels[1] == 0
    tied = {"logits": LOGITS, "class": _changed(labels, (1,), 1)}
    assert _check({"logits": LOGITS, "class": labels}, tied).max_abs_error == 0.0
    with pytest.raises(
        ParityError, match=r"output 'class', batch 3, index \(2,\): expected 0, got 1; these must"
    ):
        _check({"logits": LOGITS, "class": labels}, {"logits": LOGITS, "class": _changed(labels, (2,), 1)})
    with pytest.raises(ParityError, match=r"index \(1,\): expected 0, got 2"):
        _check({"logits": LOGITS, "class": labels}, {"logits": LOGITS, "class": _changed(labels, (1,), 2)})


def test_integers_other_than_an_argmax_must_be_equal() -> None:
    counts = np.array([3, 1, 2])
    with pytest.raises(ParityError, match=r"index \(1,\): expected 1, got 0; these must be equal"):
        _check({"logits": LOGITS, "count": counts}, {"logits": LOGITS, "count": _changed(counts, (1,), 0)})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"z": LOGITS}, "expected the outputs {'y': 'float32'}, got {'z': 'float32'}"),
        ({"y": LOGITS.astype(np.float64)}, "expected the outputs {'y': 'float32'}, got {'y': 'float64'}"),
        ({"y": LOGITS[:2]}, r"expected float32 of shape \(3, 3\), got float32 of shape \(2, 3\)"),
    ],
)
def test_names_dtypes_and_shapes_must_agree(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(ParityError, match=message):
        _check({"y": LOGITS}, answer)


def test_a_missing_endpoint_is_named() -> None:
    reference = Reference("encode", {}, {}, (), "float32")
    with pytest.raises(ParityError, match=r"m.tflite: expected the endpoint 'encode', got serving_default"):
        check_parity({"serving_default": Fake({"y": LOGITS})}, {"encode": reference}, "m.tflite")


def test_a_file_that_its_runtime_cannot_run_is_reported_in_one_sentence() -> None:
    class Broken(Fake):
        def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
            raise RuntimeError("node 3 failed to invoke\nTraceback of the runtime")

    specs = {"y": Spec(LOGITS.shape, "float32")}
    sample = Sample({"batch": 3}, {"x": np.zeros(3, np.float32)}, {"y": LOGITS})
    reference = Reference("serving_default", {"x": Spec(("batch",), "float32")}, specs, (sample,), "float32")
    with pytest.raises(ParityError) as caught:
        check_parity({"serving_default": Broken({"y": LOGITS})}, {"serving_default": reference}, "m.tflite")
    assert str(caught.value).startswith(
        "m.tflite: endpoint 'serving_default', batch 3: the file fails in its own runtime: node 3 failed"
    )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "equal"), [("large", True), ("uniform", False)])
def test_the_largest_float_is_an_infinity_only_where_a_sample_overflows(kind: str, equal: bool) -> None:
    infinite = np.array([[-np.inf]], np.float32)
    largest = np.array([[np.finfo(np.float32).min]], np.float32)
    sample = Sample({"batch": 1}, {"x": np.ones((1, 1), np.float32)}, {"y": infinite}, (kind,))
    assert (differs(sample, "y", largest, 1e-5) == "") is equal
