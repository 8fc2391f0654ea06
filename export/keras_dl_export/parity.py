"""Does a written file give the model's numbers, in its own runtime?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.cases import Case, Reference
from keras_dl_export.dtypes import format_shape
from keras_dl_export.errors import ParityError, first_line
from keras_dl_export.results import Comparison, Parity
from keras_dl_export.runner import Runner
from keras_dl_export.sample_kinds import NON_FINITE

_CALLS = 2  # a file that kept state would answer the second call otherwise

# What an element may differ by is this times 1 + the sample's largest magnitude: absolute plus relative. The
# magnitude is that of the whole sample (a row of the batch), not the element's, because rounding grows with
# what was summed: an element near zero carries the error of its large neighbors. By the coarsest floating
# dtype that the model computes in; float64 counts as float32. Integers, booleans and strings are equal or
# wrong.
TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
# Of files whose weights were quantised, by how; the coarser of both holds.
QUANTIZED_TOLERANCES = {"float16": 1e-2, "dynamic": 5e-2, "int8": 1e-1}
# A difference beyond the tolerance is no error where rounding alone moves the model's own answer by a
# comparable amount: behind sin(1e6), a chaotic recurrence, or a sum that cancels.
_ROUNDING_MARGIN = 8.0


def check_parity(
    runners: Mapping[str, Runner],
    references: Mapping[str, Reference],
    label: str,
    quantize: str | None = None,
    *,
    tolerance: float | None = None,
    blame: Callable[[str, Case], str] | None = None,
) -> Parity:
    """Run every case of every endpoint and compare names, dtypes, shapes and numbers.

    A quantised file is only right where it was calibrated: it is compared on real inputs if there are any, or
    else on those drawn from (-1, 1), and must run on all others without making a NaN of a number. Its integer
    inputs and outputs are converted by their own scales.

    Integers, booleans and strings must be equal. Where an argmax differs, the scores that it was taken of
    (the floating output beside it whose argmax it is) decide: they may tie within the tolerance.

    Args:
        runners: the file's endpoints.
        references: what they must give.
        label: what the error calls the file.
        quantize: how the file was quantised; it decides on the tolerance, or else the model's precision does.
        tolerance: widens the tolerance of floating outputs, as for `export`.
        blame: returns what is known of where an endpoint goes wrong in a case, for the error.

    Raises:
        ParityError: an output is out of tolerance; it names endpoint, output, worst index and both values.
    """
    comparisons: list[Comparison] = []
    for name, reference in references.items():
        if name not in runners:
            raise ParityError(f"{label}: expected the endpoint {name!r}, the file has {', '.join(runners)}.")
        runner = runners[name]
        _check_types(label, name, "inputs", reference.inputs, runner.inputs, runner.input_scales)
        _check_types(label, name, "outputs", reference.outputs, runner.outputs, runner.output_scales)
        relative = relative_tolerance(reference, quantize, tolerance)
        judged, others = _judged(reference, quantize)
        for case in judged:
            try:
                comparisons += _compare_case(label, name, reference, runner, case, relative)
            except ParityError as error:
                remark = blame(name, case) if blame else ""
                raise ParityError(f"{error}{remark}") from error
        for case in others:
            comparisons += _run_case(label, name, reference, runner, case)
    return Parity(tuple(comparisons))


def relative_tolerance(reference: Reference, quantize: str | None, tolerance: float | None) -> float:
    """Return the tolerance of a file's floating outputs, relative to 1 + the sample's largest magnitude."""
    quantized = () if quantize is None else (QUANTIZED_TOLERANCES[quantize],)
    return max(TOLERANCES[reference.precision], tolerance or 0.0, *quantized)


def check_tolerance(tolerance: float | None) -> None:
    """Raise a ValueError for what is no tolerance."""
    known = tolerance is None or (isinstance(tolerance, int | float) and not isinstance(tolerance, bool))
    if not known or (tolerance is not None and not 0.0 < tolerance < 1.0):
        raise ValueError(
            f"tolerance: expected a number above 0 and below 1, such as 1e-3, or None, got {tolerance!r}. "
            "Pass what floating outputs may differ by, relative to 1 + the largest magnitude of a sample."
        )


def differs(case: Case, output: str, got: NDArray[Any], relative: float) -> str:
    """Return how other numbers for an output differ from those of a case; empty if they are equal."""
    try:
        _compare("", case, output, got, relative, _Noise(case))
    except ParityError as error:
        return str(error).removeprefix(", ").rstrip(".")
    return ""


def _judged(reference: Reference, quantize: str | None) -> tuple[list[Case], list[Case]]:
    """Return the cases that a file is compared on, and those on which it must merely run."""
    if quantize is None:
        return list(reference.cases), []
    plain = [case for case in reference.cases if case.plain]
    judged = [case for case in plain if case.real] or plain
    others = [case for case in reference.cases if case not in judged and NON_FINITE not in case.kinds]
    return judged, others


def _compare_case(
    label: str, endpoint: str, reference: Reference, runner: Runner, case: Case, relative: float
) -> list[Comparison]:
    place = f"{label}: endpoint {endpoint!r}, "
    answers = _ask(f"{place}{_describe(case)}", runner, case, _CALLS if case.plain else 1)
    noise = _Noise(case)
    found = []
    for output in case.outputs:
        where = f"{place}output {output!r}, {_describe(case)}"
        compared = [_compare(where, case, output, answer[output], relative, noise) for answer in answers]
        error, allowed = (max(column) for column in zip(*compared, strict=True))
        found.append(Comparison(endpoint, output, case.sizes, error, allowed, ", ".join(case.kinds), label))
    return found


def _run_case(
    label: str, endpoint: str, reference: Reference, runner: Runner, case: Case
) -> list[Comparison]:
    """Run a quantised file where it is not held to numbers."""
    place = f"{label}: endpoint {endpoint!r}, "
    (answer,) = _ask(f"{place}{_describe(case)}", runner, case, 1)
    for output in case.outputs:
        expected, got = case.outputs[output], answer[output]
        where = f"{place}output {output!r}, {_describe(case)}"
        _check_array(where, expected, got)
        if expected.dtype.kind == "f":
            lost = np.argwhere(np.isnan(got) & np.isfinite(expected))
            for index in lost[:1]:
                _refuse(
                    where,
                    tuple(index),
                    expected,
                    got,
                    "a quantised file may be coarse, but must give numbers",
                )
    return []


def _ask(place: str, runner: Runner, case: Case, calls: int) -> list[dict[str, NDArray[Any]]]:
    try:
        return [runner.call_in_floats(case.inputs) for _ in range(calls)]
    except Exception as error:
        raise ParityError(f"{place}: the file fails in its own runtime: {first_line(error)}") from error


def _check_types(
    label: str,
    endpoint: str,
    word: str,
    wanted: Mapping[str, Any],
    got: Mapping[str, Any],
    scales: Mapping[str, Any],
) -> None:
    expected = {name: spec.dtype for name, spec in wanted.items()}
    found = {name: "float32" if name in scales else spec.dtype for name, spec in got.items()}
    if expected != found:
        raise ParityError(f"{label}: endpoint {endpoint!r} must have the {word} {expected}, got {found}.")


def _check_array(place: str, expected: NDArray[Any], got: NDArray[Any]) -> None:
    if got.shape != expected.shape or got.dtype != expected.dtype:
        raise ParityError(
            f"{place}: expected {expected.dtype} of shape {format_shape(expected.shape)}, got {got.dtype} of "
            f"shape {format_shape(got.shape)}."
        )


class _Noise:
    """By how much rounding alone moves a case's answers: asked of the model once, and only if it matters."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._found: Mapping[str, NDArray[Any]] | None = None

    def of(self, output: str) -> NDArray[Any]:
        if self._found is None:
            self._found = {}
            if self._case.noise is not None:
                with contextlib.suppress(Exception):  # the model fails at numbers next to these
                    self._found = self._case.noise()
        return self._found.get(output, np.zeros(self._case.outputs[output].shape))


def _compare(
    place: str, case: Case, output: str, got: NDArray[Any], relative: float, noise: _Noise
) -> tuple[float, float]:
    """Return the largest absolute difference and the largest that was allowed, or raise."""
    expected = case.outputs[output]
    _check_array(place, expected, got)
    if expected.dtype.kind in "biuSUO":
        different = np.argwhere(expected != got)
        for index in map(tuple, different):
            if not (_ties(case, output, index, got, relative) or noise.of(output)[index] != 0.0):
                _refuse(place, index, expected, got, "these must be equal")
        return 0.0, relative
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.asarray(np.abs(got.astype(np.float64) - expected.astype(np.float64)))
    error[(got == expected) | (np.isnan(got) & np.isnan(expected))] = 0.0
    if not case.plain and NON_FINITE not in case.kinds:  # elsewhere an infinity is the model's own constant
        error[_overflows(got) & _overflows(expected) & (np.sign(got) == np.sign(expected))] = 0.0
    error[np.isnan(error)] = np.inf
    if not case.plain:
        # Where the model gives no number, none is right or wrong.
        error[~np.isfinite(expected) if NON_FINITE in case.kinds else np.isnan(expected)] = 0.0
    if not error.size:
        return 0.0, relative
    allowed = np.broadcast_to(_allowed(case, output, relative), error.shape)
    if (error > allowed).any():
        moved = np.nan_to_num(noise.of(output), nan=np.inf)
        allowed = allowed + _ROUNDING_MARGIN * _largest_of_sample(case, moved)
    worst = np.unravel_index(np.argmax(np.where(error > allowed, error, -1.0)), error.shape)
    if error[worst] > allowed[worst]:
        why = f"a difference of {error[worst]:.3g} where {allowed[worst]:.3g} is allowed"
        _refuse(place, worst, expected, got, why)
    return float(error[np.isfinite(error)].max(initial=0.0)), float(allowed[np.isfinite(allowed)].max())


def _overflows(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Return what is beyond the dtype's numbers: infinite, or the largest, at which some runtimes stop."""
    largest = float(np.finfo(array.dtype).max) if array.dtype.kind == "f" else np.inf
    return np.asarray(np.abs(array.astype(np.float64)) >= largest)


def _ties(case: Case, output: str, index: tuple[int, ...], got: NDArray[Any], relative: float) -> bool:
    """Tell whether `output` is the argmax of another output whose two scores at `index` are all but equal."""
    chosen = case.outputs[output]
    for scores in case.outputs.values():
        if scores.dtype.kind != "f" or scores.shape[:-1] != chosen.shape or not scores.size:
            continue
        if (scores.argmax(axis=-1) == chosen).all() and 0 <= got[index] < scores.shape[-1]:
            row = scores[index].astype(np.float64)
            return bool(row[chosen[index]] - row[got[index]] <= 2 * relative * (1.0 + np.abs(row).max()))
    return False


def _refuse(
    place: str, index: tuple[Any, ...], expected: NDArray[Any], got: NDArray[Any], why: str
) -> NoReturn:
    where = tuple(int(position) for position in index)
    raise ParityError(f"{place}, index {where}: expected {expected[index]!s}, got {got[index]!s}; {why}.")


def _describe(case: Case) -> str:
    sizes = ", ".join(f"{name} {size}" for name, size in case.sizes.items()) or "fixed shapes"
    return sizes if case.plain else f"{sizes}, {' and '.join(case.kinds)}"


def _allowed(case: Case, output: str, relative: float) -> NDArray[np.float64]:
    """Return what every element may differ by, by its sample's own scale."""
    expected = case.outputs[output]
    if expected.dtype.kind not in "fV":
        return np.zeros(())
    magnitudes = np.abs(expected.astype(np.float64))
    magnitudes = np.where(np.isfinite(magnitudes), magnitudes, 0.0)
    return np.asarray(relative * (1.0 + _largest_of_sample(case, magnitudes)))


def _largest_of_sample(case: Case, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the largest of each sample, or of all where the output has no axis of samples."""
    examples = {len(array) for array in case.inputs.values() if array.ndim}
    axes = tuple(range(1, values.ndim)) if values.ndim and {len(values)} == examples else None
    return np.asarray(np.max(values, axis=axes, keepdims=True, initial=0.0), np.float64)
