"""Match the inputs and outputs of files from other exporters with those of the model."""

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
    """Return the file's endpoints by the model's names, and notes on endpoints with other names.

    Raises:
        ParityError: the file has several endpoints, none of which has a name of the model's endpoints.
    """
    named = {name: runner for name, runner in runners.items() if name in offered}
    notes = [
        f"The endpoint {name!r} is not an endpoint of the model and is ignored."
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
    return {default: runner}, [f"The file's only endpoint, {name!r}, is compared with {default!r}."]


def fit_endpoint(
    label: str, name: str, endpoint: Endpoint, runner: Runner
) -> tuple[Endpoint, dict[str, str]]:
    """Return an endpoint with the fixed axes of the file, and the file's names of its inputs.

    Raises:
        ParityError: the file has other inputs.
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
        notes: the names and dtypes that differ in the file.

    Args:
        label: the name of the file in errors.
        runner: the file's endpoint.
        name: the model's name of the endpoint.
        inputs: the model's inputs, with the fixed axes of the file.
        names: the file's names of the inputs.
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
    """Return specs with float32 in place of integers with a scale."""
    return {name: Spec(spec.shape, "float32") if name in scales else spec for name, spec in specs.items()}


def _match(
    label: str, endpoint: str, side: str, wanted: Mapping[str, Spec], found: Mapping[str, Spec]
) -> dict[str, str]:
    """Return the file's name for each of the model's names: by name, otherwise by order, shape and dtype."""
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
            f"{label}: endpoint {endpoint!r} expected the {side} {_listed(wanted)}, got {_listed(found)}."
        )
    return names


def _order(name: str) -> tuple[str, int]:
    """Return a sort key: `output_10` after `output_2`, and names without a number in their order."""
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
