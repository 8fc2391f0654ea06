"""Compare numbers with a model's outputs within tolerances, and find the worst element."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.dtypes import format_shape
from keras_dl_export.errors import ParityError
from keras_dl_export.samples.references import Reference, Sample
from keras_dl_export.samples.sample_kinds import NON_FINITE

# The allowed difference of an element is this number times (1 + the example's largest magnitude): absolute
# plus relative. The magnitude is that of the whole example (a row of the batch), because rounding errors grow
# with the summands: an element near zero has the error of its large neighbors. The key is the coarsest
# floating dtype in which the model computes; float64 counts as float32. Integers, booleans and strings must
# be equal.
TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
# For quantized files, by the kind of quantization; the larger of both tolerances applies.
QUANTIZED_TOLERANCES = {"float16": 1e-2, "dynamic": 5e-2, "int8": 1e-1}
# A difference beyond the tolerance is accepted if rounding alone changes the model's own output by a
# comparable amount, as for sin(1e6), a chaotic recurrence, or a sum with cancellation.
_ROUNDING_MARGIN = 8.0


def relative_tolerance(reference: Reference, quantize: str | None, tolerance: float | None) -> float:
    """Return the tolerance of a file's floating outputs, relative to 1 + the example's largest magnitude."""
    quantized = () if quantize is None else (QUANTIZED_TOLERANCES[quantize],)
    return max(TOLERANCES[reference.precision], tolerance or 0.0, *quantized)


def check_tolerance(tolerance: float | None) -> None:
    """Raise a ValueError if the tolerance is invalid."""
    known = tolerance is None or (isinstance(tolerance, int | float) and not isinstance(tolerance, bool))
    if not known or (tolerance is not None and not 0.0 < tolerance < 1.0):
        raise ValueError(
            f"tolerance: expected a number above 0 and below 1, such as 1e-3, or None, got {tolerance!r}. "
            "Pass the allowed difference of floats, relative to 1 + the largest magnitude of an example."
        )


def differs(sample: Sample, output: str, got: NDArray[Any], relative: float) -> str:
    """Return a description of how an output differs from that of a sample, or an empty string."""
    try:
        compare("", sample, output, got, relative, Noise(sample))
    except ParityError as error:
        return str(error).removeprefix(", ").rstrip(".")
    return ""


def check_array(place: str, expected: NDArray[Any], got: NDArray[Any]) -> None:
    """Raise a ParityError if the shape or the dtype differs."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        raise ParityError(
            f"{place}: expected {expected.dtype} of shape {format_shape(expected.shape)}, got {got.dtype} of "
            f"shape {format_shape(got.shape)}."
        )


class Noise:
    """The change of a sample's outputs by rounding alone, computed once and only if needed."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._found: Mapping[str, NDArray[Any]] | None = None

    def of(self, output: str) -> NDArray[Any]:
        if self._found is None:
            self._found = {}
            if self._sample.noise is not None:
                with contextlib.suppress(Exception):  # the model fails at adjacent numbers
                    self._found = self._sample.noise()
        return self._found.get(output, np.zeros(self._sample.outputs[output].shape))


def compare(
    place: str, sample: Sample, output: str, got: NDArray[Any], relative: float, noise: Noise
) -> tuple[float, float]:
    """Return the largest absolute difference and the largest allowed one, or raise a ParityError."""
    expected = sample.outputs[output]
    check_array(place, expected, got)
    if expected.dtype.kind in "biuSUO":
        different = np.argwhere(expected != got)
        for index in map(tuple, different):
            if not (_ties(sample, output, index, got, relative) or noise.of(output)[index] != 0.0):
                refuse(place, index, expected, got, "these must be equal")
        return 0.0, relative
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.asarray(np.abs(got.astype(np.float64) - expected.astype(np.float64)))
    error[(got == expected) | (np.isnan(got) & np.isnan(expected))] = 0.0
    # Elsewhere an infinity is the model's own constant.
    if not sample.plain and NON_FINITE not in sample.kinds:
        error[_overflows(got) & _overflows(expected) & (np.sign(got) == np.sign(expected))] = 0.0
    error[np.isnan(error)] = np.inf
    if not sample.plain:
        # Elements that are not numbers in the model's output are not compared.
        error[~np.isfinite(expected) if NON_FINITE in sample.kinds else np.isnan(expected)] = 0.0
    if not error.size:
        return 0.0, relative
    allowed = np.broadcast_to(_allowed(sample, output, relative), error.shape)
    if (error > allowed).any():
        moved = np.nan_to_num(noise.of(output), nan=np.inf)
        allowed = allowed + _ROUNDING_MARGIN * _largest_of_example(sample, moved)
    worst = np.unravel_index(np.argmax(np.where(error > allowed, error, -1.0)), error.shape)
    if error[worst] > allowed[worst]:
        why = f"a difference of {error[worst]:.3g}, while {allowed[worst]:.3g} is allowed"
        refuse(place, worst, expected, got, why)
    return float(error[np.isfinite(error)].max(initial=0.0)), float(allowed[np.isfinite(allowed)].max())


def _overflows(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the elements that overflowed: infinity, or the largest float, where some runtimes saturate."""
    largest = float(np.finfo(array.dtype).max) if array.dtype.kind == "f" else np.inf
    return np.asarray(np.abs(array.astype(np.float64)) >= largest)


def _ties(sample: Sample, output: str, index: tuple[int, ...], got: NDArray[Any], relative: float) -> bool:
    """Return whether `output` is the argmax of another output whose scores at `index` tie."""
    chosen = sample.outputs[output]
    for scores in sample.outputs.values():
        if scores.dtype.kind != "f" or scores.shape[:-1] != chosen.shape or not scores.size:
            continue
        if (scores.argmax(axis=-1) == chosen).all() and 0 <= got[index] < scores.shape[-1]:
            row = scores[index].astype(np.float64)
            return bool(row[chosen[index]] - row[got[index]] <= 2 * relative * (1.0 + np.abs(row).max()))
    return False


def refuse(
    place: str, index: tuple[Any, ...], expected: NDArray[Any], got: NDArray[Any], why: str
) -> NoReturn:
    """Raise a ParityError that names the place, the index and both values."""
    where = tuple(int(position) for position in index)
    raise ParityError(f"{place}, index {where}: expected {expected[index]!s}, got {got[index]!s}; {why}.")


def _allowed(sample: Sample, output: str, relative: float) -> NDArray[np.float64]:
    """Return the allowed difference of every element, by the scale of its sample."""
    expected = sample.outputs[output]
    if expected.dtype.kind not in "fV":
        return np.zeros(())
    magnitudes = np.abs(expected.astype(np.float64))
    magnitudes = np.where(np.isfinite(magnitudes), magnitudes, 0.0)
    return np.asarray(relative * (1.0 + _largest_of_example(sample, magnitudes)))


def _largest_of_example(sample: Sample, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the largest value of each sample, or of all if the output has no batch axis."""
    examples = {len(array) for array in sample.inputs.values() if array.ndim}
    axes = tuple(range(1, values.ndim)) if values.ndim and {len(values)} == examples else None
    return np.asarray(np.max(values, axis=axes, keepdims=True, initial=0.0), np.float64)
