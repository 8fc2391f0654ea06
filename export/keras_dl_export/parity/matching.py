"""Match the inputs and outputs of a file of another writer with the model's, under any names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.dtypes import numpy_dtype
from keras_dl_export.endpoints import Endpoint
from keras_dl_export.errors import ParityError
from keras_dl_export.runner import Runner
from keras_dl_export.specs import DEFAULT_ENDPOINT, Spec

_DECORATION = re.compile(r"^(serving_default_|args_)|(:\d+)$")
_NUMBERED = re.compile(r"(.*?)(\d+)\D*")


def match_endpoints(
    runners: Mapping[str, Runner], offered: Mapping[str, Endpoint]
) -> tuple[dict[str, Runner], list[str]]:
    """Return the file's endpoints by the model's names, and notes on those with other names.

    Raises:
        ParityError: the file has several endpoints, and no name of the model's.
    """
    named = {name: runner for name, runner in runners.items() if name in offered}
    notes = [
        f"The endpoint {name!r} is not the model's and is left out."
        for name in runners
        if name not in offered
    ]
    if named:
        return named, notes
    default = DEFAULT_ENDPOINT if DEFAULT_ENDPOINT in offered else next(iter(offered))
    if len(runners) != 1:
        raise ParityError(
            f"artifact: expected one of the endpoints {', '.join(offered)}, got {', '.join(runners)}."
        )
    ((name, runner),) = runners.items()
    return {default: runner}, [f"The file's only endpoint, {name!r}, is taken for {default!r}."]


def fit_endpoint(
    label: str, name: str, endpoint: Endpoint, runner: Runner
) -> tuple[Endpoint, dict[str, str]]:
    """Return an endpoint with every axis fixed that the file has fixed, and the file's names of its inputs.

    Raises:
        ParityError: the file takes other inputs.
    """
    names = _match(label, name, "inputs", endpoint.inputs, _in_floats(runner.inputs, runner.input_scales))
    fixed = {
        word: size
        for key, spec in endpoint.inputs.items()
        for word, size in zip(spec.shape, runner.inputs[names[key]].shape, strict=True)
        if isinstance(word, str) and isinstance(size, int)
    }
    inputs = {
        key: Spec(
            tuple(fixed.get(word, word) if isinstance(word, str) else word for word in spec.shape), spec.dtype
        )
        for key, spec in endpoint.inputs.items()
    }
    return Endpoint(endpoint.function, inputs), names


class MatchedRunner(Runner):
    """A file's endpoint under the model's names and dtypes.

    Attributes:
        notes: which names and dtypes are not the file's own.

    Args:
        label: what an error calls the file.
        runner: the file's endpoint.
        name: the model's name for it.
        inputs: the model's inputs, with the axes that the file fixes.
        names: the file's names of them.
        outputs: the model's outputs.
    """

    def __init__(
        self,
        label: str,
        runner: Runner,
        name: str,
        inputs: Mapping[str, Spec],
        names: Mapping[str, str],
        outputs: Mapping[str, Spec],
    ) -> None:
        super().__init__(name, inputs, outputs)
        self._runner = runner
        self._inputs = names
        self._outputs = _match(
            label, name, "outputs", outputs, _in_floats(runner.outputs, runner.output_scales)
        )
        self.notes: list[str] = []
        for wanted, found, specs, file in (
            (inputs, self._inputs, "input", runner.inputs),
            (outputs, self._outputs, "output", runner.outputs),
        ):
            for key, spec in wanted.items():
                other = file[found[key]]
                if found[key] != key:
                    self.notes.append(f"The {specs} {key!r} of {name!r} is {found[key]!r} in the file.")
                if other.dtype != spec.dtype and found[key] not in (
                    *runner.input_scales,
                    *runner.output_scales,
                ):
                    self.notes.append(f"The {specs} {key!r} of {name!r} is {other.dtype} in the file.")

    def run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        given = {
            self._inputs[key]: array.astype(numpy_dtype(self._runner.inputs[self._inputs[key]].dtype))
            if self._inputs[key] not in self._runner.input_scales
            else array
            for key, array in inputs.items()
        }
        answers = self._runner.call_in_floats(given)
        return {
            key: np.asarray(answers[name]).astype(numpy_dtype(self.outputs[key].dtype))
            for key, name in self._outputs.items()
        }


def _in_floats(specs: Mapping[str, Spec], scales: Collection[str]) -> dict[str, Spec]:
    """Return specs with floats where the file has integers with a scale, which stand for floats."""
    return {name: Spec(spec.shape, "float32") if name in scales else spec for name, spec in specs.items()}


def _match(
    label: str, endpoint: str, side: str, wanted: Mapping[str, Spec], found: Mapping[str, Spec]
) -> dict[str, str]:
    """Return the file's name for each of the model's: by the name, or else by order, shape and dtype."""
    plain = {_DECORATION.sub("", name): name for name in found}
    names = {name: name if name in found else plain[name] for name in wanted if name in {*found, *plain}}
    free = sorted((name for name in found if name not in names.values()), key=_order)
    for name, spec in wanted.items():
        if name not in names:
            fitting = next((each for each in free if _fits(spec, found[each])), None)
            if fitting is not None:
                free.remove(fitting)
                names[name] = fitting
    wrong = [name for name, other in names.items() if not _fits(wanted[name], found[other])]
    if len(names) < len(wanted) or free or wrong:
        raise ParityError(
            f"{label}: endpoint {endpoint!r} must have the {side} {_listed(wanted)}, got {_listed(found)}."
        )
    return names


def _order(name: str) -> tuple[str, int]:
    """Sort `output_10` behind `output_2`, and leave names without a number in their place."""
    numbered = _NUMBERED.fullmatch(name)
    return (numbered[1], int(numbered[2])) if numbered else ("", 0)


def _fits(spec: Spec, other: Spec) -> bool:
    if len(spec.shape) != len(other.shape) or _kind(spec) != _kind(other):
        return False
    return all(
        one == two or isinstance(one, str) or isinstance(two, str)
        for one, two in zip(spec.shape, other.shape, strict=True)
    )


def _kind(spec: Spec) -> str:
    kind = numpy_dtype(spec.dtype).kind
    return {"u": "i", "V": "f"}.get(kind, kind)


def _listed(specs: Mapping[str, Spec]) -> str:
    return ", ".join(f"{name} {spec.dtype} {spec.shape}" for name, spec in specs.items())
