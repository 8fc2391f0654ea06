"""Does a written file give the model's numbers, in its own runtime?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.cases import Case, Reference
from keras_dl_export.dtypes import format_shape
from keras_dl_export.errors import ParityError, first_line

if TYPE_CHECKING:
    from keras_dl_export.runtime import Runner

_CALLS = 2  # a file that kept state would answer the second call otherwise

# What an element may differ by is this times 1 + the output's largest magnitude: absolute plus relative. The
# magnitude is the output's, not the element's, because rounding grows with what was summed: an element near
# zero carries the error of its large neighbours. By the coarsest floating dtype that the model computes in;
# float64 counts as float32. Integers, booleans and strings are equal or wrong.
TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
# Of files whose weights were quantised, by how; the coarser of both holds.
QUANTIZED_TOLERANCES = {"float16": 1e-2, "dynamic": 5e-2, "int8": 1e-1}


@dataclass(frozen=True)
class Comparison:
    """One output of one endpoint in one case.

    Attributes:
        endpoint: the endpoint's name.
        output: the output's name.
        sizes: the size of every dynamic axis, by its name.
        max_abs_error: the largest absolute difference; 0 for integers, which agree or tie.
        tolerance: the largest absolute difference that was allowed.
        inputs: "real" where given examples went in, "random" where all inputs were drawn.
    """

    endpoint: str
    output: str
    sizes: Mapping[str, int]
    max_abs_error: float
    tolerance: float
    inputs: str = "random"

    @property
    def batch_size(self) -> int | None:
        """The size of the batch axis; None for an endpoint without one."""
        return self.sizes.get("batch")


@dataclass(frozen=True)
class Parity:
    """All comparisons that a file passed."""

    comparisons: tuple[Comparison, ...]

    @property
    def max_abs_error(self) -> float:
        """The largest absolute difference of all."""
        return max((comparison.max_abs_error for comparison in self.comparisons), default=0.0)


def check_parity(
    runners: Mapping[str, Runner],
    references: Mapping[str, Reference],
    label: str,
    quantize: str | None = None,
) -> Parity:
    """Run every case of every endpoint twice and compare names, dtypes, shapes and numbers.

    An int8 file is only right where it was calibrated: it is compared on real inputs if there are any. Its
    integer inputs and outputs are converted by their own scales.

    Integers, booleans and strings must be equal. Where an argmax differs, the scores that it was taken of
    (the floating output beside it whose argmax it is) decide: they may tie within the tolerance.

    Args:
        runners: the file's endpoints.
        references: what they must give.
        label: what the error calls the file.
        quantize: how the file was quantised; it decides on the tolerance, or else the model's precision does.

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
        relative = TOLERANCES[reference.precision]
        if quantize is not None:
            relative = max(relative, QUANTIZED_TOLERANCES[quantize])
        real = [case for case in reference.cases if case.real]
        for case in real if real and quantize == "int8" else reference.cases:
            answers = _ask(f"{label}: endpoint {name!r}, {_describe(case.sizes)}", runner, case)
            for output in reference.outputs:
                place = f"{label}: endpoint {name!r}, output {output!r}, {_describe(case.sizes)}"
                error = max(_compare(place, case, output, answer[output], relative) for answer in answers)
                allowed = _allowed(case.outputs[output], relative)
                inputs = "real" if case.real else "random"
                comparisons.append(Comparison(name, output, case.sizes, error, allowed, inputs))
    return Parity(tuple(comparisons))


def _ask(place: str, runner: Runner, case: Case) -> list[dict[str, NDArray[Any]]]:
    try:
        return [runner.call_in_floats(case.inputs) for _ in range(_CALLS)]
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


def _compare(place: str, case: Case, output: str, got: NDArray[Any], relative: float) -> float:
    """Return the largest absolute difference, or raise."""
    expected = case.outputs[output]
    if got.shape != expected.shape or got.dtype != expected.dtype:
        raise ParityError(
            f"{place}: expected {expected.dtype} of shape {format_shape(expected.shape)}, got {got.dtype} of "
            f"shape {format_shape(got.shape)}."
        )
    if expected.dtype.kind in "biuSUO":
        for index in np.argwhere(expected != got):
            if not _ties(case, output, tuple(index), got, relative):
                _refuse(place, tuple(index), expected, got, "these must be equal")
        return 0.0
    with np.errstate(invalid="ignore"):
        error = np.asarray(np.abs(got.astype(np.float64) - expected.astype(np.float64)))
    error[(got == expected) | (np.isnan(got) & np.isnan(expected))] = 0.0
    error[np.isnan(error)] = np.inf
    worst = tuple(np.unravel_index(np.argmax(error), error.shape)) if error.size else ()
    largest = float(error[worst]) if error.size else 0.0
    allowed = _allowed(expected, relative)
    if largest > allowed:
        _refuse(place, worst, expected, got, f"a difference of {largest:.3g} where {allowed:.3g} is allowed")
    return largest


def _ties(case: Case, output: str, index: tuple[int, ...], got: NDArray[Any], relative: float) -> bool:
    """Tell whether `output` is the argmax of another output whose two scores at `index` are all but equal."""
    chosen = case.outputs[output]
    for scores in case.outputs.values():
        if scores.dtype.kind != "f" or scores.shape[:-1] != chosen.shape or not scores.size:
            continue
        if (scores.argmax(axis=-1) == chosen).all() and 0 <= got[index] < scores.shape[-1]:
            row = scores[index].astype(np.float64)
            return bool(row[chosen[index]] - row[got[index]] <= 2 * _allowed(scores, relative))
    return False


def _refuse(
    place: str, index: tuple[Any, ...], expected: NDArray[Any], got: NDArray[Any], why: str
) -> NoReturn:
    where = tuple(int(position) for position in index)
    raise ParityError(f"{place}, index {where}: expected {expected[index]!s}, got {got[index]!s}; {why}.")


def _describe(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size}" for name, size in sizes.items()) or "fixed shapes"


def _allowed(expected: NDArray[Any], relative: float) -> float:
    finite = expected[np.isfinite(expected)] if expected.dtype.kind in "fV" else np.zeros(0)
    return relative * (1.0 + float(np.abs(finite).max(initial=0.0)))
