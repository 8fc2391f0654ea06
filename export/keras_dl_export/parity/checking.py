"""Does a written file give the model's numbers, in its own runtime?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.comparing import Noise, check_array, compare, refuse, relative_tolerance
from keras_dl_export.errors import ParityError, first_line
from keras_dl_export.results import Comparison, Parity
from keras_dl_export.runner import Runner
from keras_dl_export.samples.references import Case, Reference
from keras_dl_export.samples.sample_kinds import NON_FINITE

_CALLS = 2  # a file that kept state would answer the second call otherwise


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
    noise = Noise(case)
    found = []
    for output in case.outputs:
        where = f"{place}output {output!r}, {_describe(case)}"
        compared = [compare(where, case, output, answer[output], relative, noise) for answer in answers]
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
        check_array(where, expected, got)
        if expected.dtype.kind == "f":
            lost = np.argwhere(np.isnan(got) & np.isfinite(expected))
            for index in lost[:1]:
                refuse(
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


def _describe(case: Case) -> str:
    sizes = ", ".join(f"{name} {size}" for name, size in case.sizes.items()) or "fixed shapes"
    return sizes if case.plain else f"{sizes}, {' and '.join(case.kinds)}"
