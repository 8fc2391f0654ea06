"""Run a written file in its own runtime and compare its numbers with the model's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.comparing import Noise, check_array, compare, refuse, relative_tolerance
from keras_dl_export.errors import ParityError, first_line
from keras_dl_export.results import Comparison, Parity
from keras_dl_export.runner import Runner
from keras_dl_export.samples.references import Reference, Sample
from keras_dl_export.samples.sample_kinds import NON_FINITE

_CALLS = 2  # a file that keeps state returns other numbers at the second call


def check_parity(
    runners: Mapping[str, Runner],
    references: Mapping[str, Reference],
    label: str,
    quantize: str | None = None,
    *,
    tolerance: float | None = None,
    blame: Callable[[str, Sample], str] | None = None,
) -> Parity:
    """Run every sample of every endpoint and compare names, dtypes, shapes and numbers.

    A quantized file is accurate only within its calibration range. It is compared on real inputs if there are
    any, otherwise on inputs drawn from (-1, 1), and must run on all others without turning a number into NaN.
    Its integer inputs and outputs are converted by their scales.

    Integers, booleans and strings must be equal. If an argmax differs, its scores (the floating output of
    which it is the argmax) are compared: they may tie within the tolerance.

    Args:
        runners: the file's endpoints.
        references: the expected answers.
        label: the name of the file in errors.
        quantize: the quantization of the file, which determines the tolerance; None for the model's
            precision.
        tolerance: raises the tolerance of floating outputs, as for `export`.
        blame: returns a sentence on where an endpoint differs in a sample, for the error.

    Raises:
        ParityError: an output is out of tolerance; it names endpoint, output, worst index and both values.
    """
    comparisons: list[Comparison] = []
    for name, reference in references.items():
        if name not in runners:
            raise ParityError(f"{label}: expected the endpoint {name!r}, got {', '.join(runners)}.")
        runner = runners[name]
        _check_types(label, name, "inputs", reference.inputs, runner.inputs, runner.input_scales)
        _check_types(label, name, "outputs", reference.outputs, runner.outputs, runner.output_scales)
        relative = relative_tolerance(reference, quantize, tolerance)
        judged, others = _judged(reference, quantize)
        for sample in judged:
            try:
                comparisons += _compare_sample(label, name, reference, runner, sample, relative)
            except ParityError as error:
                remark = blame(name, sample) if blame else ""
                raise ParityError(f"{error}{remark}") from error
        for sample in others:
            comparisons += _run_sample(label, name, reference, runner, sample)
    return Parity(tuple(comparisons))


def _judged(reference: Reference, quantize: str | None) -> tuple[list[Sample], list[Sample]]:
    """Return the samples on which a file is compared, and the samples on which it must only run."""
    if quantize is None:
        return list(reference.samples), []
    plain = [sample for sample in reference.samples if sample.plain]
    judged = [sample for sample in plain if sample.real] or plain
    others = [
        sample for sample in reference.samples if sample not in judged and NON_FINITE not in sample.kinds
    ]
    return judged, others


def _compare_sample(
    label: str, endpoint: str, reference: Reference, runner: Runner, sample: Sample, relative: float
) -> list[Comparison]:
    place = f"{label}: endpoint {endpoint!r}, "
    answers = _ask(f"{place}{_describe(sample)}", runner, sample, _CALLS if sample.plain else 1)
    noise = Noise(sample)
    found = []
    for output in sample.outputs:
        where = f"{place}output {output!r}, {_describe(sample)}"
        compared = [compare(where, sample, output, answer[output], relative, noise) for answer in answers]
        error, allowed = (max(column) for column in zip(*compared, strict=True))
        found.append(
            Comparison(endpoint, output, sample.sizes, error, allowed, ", ".join(sample.kinds), label)
        )
    return found


def _run_sample(
    label: str, endpoint: str, reference: Reference, runner: Runner, sample: Sample
) -> list[Comparison]:
    """Run a quantized file on a sample whose numbers are not compared."""
    place = f"{label}: endpoint {endpoint!r}, "
    (answer,) = _ask(f"{place}{_describe(sample)}", runner, sample, 1)
    for output in sample.outputs:
        expected, got = sample.outputs[output], answer[output]
        where = f"{place}output {output!r}, {_describe(sample)}"
        check_array(where, expected, got)
        if expected.dtype.kind == "f":
            lost = np.argwhere(np.isnan(got) & np.isfinite(expected))
            for index in lost[:1]:
                refuse(
                    where,
                    tuple(index),
                    expected,
                    got,
                    "a quantized file may be inaccurate, but must return numbers",
                )
    return []


def _ask(place: str, runner: Runner, sample: Sample, calls: int) -> list[dict[str, NDArray[Any]]]:
    try:
        return [runner.call_in_floats(sample.inputs) for _ in range(calls)]
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
        raise ParityError(f"{label}: endpoint {endpoint!r} expected the {word} {expected}, got {found}.")


def _describe(sample: Sample) -> str:
    sizes = ", ".join(f"{name} {size}" for name, size in sample.sizes.items()) or "fixed shapes"
    return sizes if sample.plain else f"{sizes}, {' and '.join(sample.kinds)}"
