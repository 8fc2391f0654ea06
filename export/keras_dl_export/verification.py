"""Look again whether a written file gives the right numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from keras_dl_export.arguments import as_path
from keras_dl_export.cases import Examples, Reference, answer_examples, check_examples
from keras_dl_export.endpoints import Endpoint, endpoints_of
from keras_dl_export.examples import take_examples
from keras_dl_export.formats.registry import format_of, open_runners
from keras_dl_export.matching import MatchedRunner, fit_endpoint, match_endpoints
from keras_dl_export.parity import check_parity, check_tolerance
from keras_dl_export.predictor import Answers
from keras_dl_export.release import Release, holds_release, open_release
from keras_dl_export.results import Artifact, Comparison, Parity
from keras_dl_export.runner import Runner
from keras_dl_export.saved_model import read_warmup_requests
from keras_dl_export.signatures import sign, sign_endpoints
from keras_dl_export.specs import Spec
from keras_dl_export.usage import Insight


def verify(
    artifact: str | os.PathLike[str],
    model: Any = None,
    inputs: Examples = None,
    *,
    random: str = "refuse",
    tolerance: float | None = None,
) -> Parity:
    """Run a file, or all files of a release, in their own runtimes and compare.

    Args:
        artifact: what `to_onnx` and its kin return (of a quantised file nothing else knows the tolerance), a
            path to such a file, or a release, whose files are also compared with their hashes. A file may be
            of any writer: what it calls its inputs and outputs is told by name, or else by order, shape and
            dtype, and the comparisons' notes say so.
        model: the Keras model to compare with. A release can do without: its files are then compared with its
            SavedModel.
        inputs: real examples to compare on, as for `export`; by default those of an int8 release's own
            warm-up requests.
        random: what became of the model's random numbers, as for `export`.
        tolerance: widens the tolerance of floating outputs, as for `export`; a release knows its own.

    Returns:
        The comparisons, all of them passed.

    Raises:
        ParityError: an output is out of tolerance; it names endpoint, output, worst index and both values.
        ReleaseError: the release is half-written or altered.
        ValueError: a single file without a model, or `inputs` that do not fit.
        FileNotFoundError: there is nothing at `artifact`.
    """
    path = as_path("artifact", artifact, "releases/digits")
    inputs = take_examples("inputs", inputs)
    check_tolerance(tolerance)
    if not path.exists():
        raise FileNotFoundError(f"artifact: expected a model file or a release, found nothing at {path}.")
    if not holds_release(path):
        if model is None:
            raise ValueError(
                f"model: expected the Keras model that {path} was made of; only a release goes without."
            )
        quantize = artifact.quantize if isinstance(artifact, Artifact) else None
        return _verify_file(path, quantize, model, inputs, random, tolerance)
    release = open_release(path)
    if inputs is None and any(written.quantize == "int8" for written in release.artifacts):
        inputs = read_warmup_requests(release.path)  # right only where they were calibrated
    references: Mapping[str, Reference] = (
        sign(model, inputs, random=random, batch_size=_fixed_batch(release.inputs))
        if model is not None
        else _answers_of_saved_model(release, inputs)
    )
    comparisons: list[Comparison] = []
    for written in release.artifacts:
        runners = open_runners(written.path, written.format)
        wanted = {name: references[name] for name in written.endpoints}
        allowed = max(tolerance or 0.0, release.tolerance or 0.0) or None
        parity = check_parity(runners, wanted, written.label, written.quantize, tolerance=allowed)
        comparisons += parity.comparisons
    return Parity(tuple(comparisons))


def _verify_file(
    path: Path, quantize: str | None, model: Any, inputs: Examples, random: str, tolerance: float | None
) -> Parity:
    offered = endpoints_of(model, inputs)
    runners, notes = match_endpoints(open_runners(path, format_of(path)), offered)
    fitted = {name: fit_endpoint(path.name, name, offered[name], runner) for name, runner in runners.items()}
    endpoints = {name: endpoint for name, (endpoint, _) in fitted.items()}
    signatures = sign_endpoints(model, endpoints, check_examples(offered, inputs), random=random)
    matched = {
        name: MatchedRunner(
            path.name, runner, name, endpoints[name].inputs, fitted[name][1], signatures[name].outputs
        )
        for name, runner in runners.items()
    }
    parity = check_parity(matched, signatures, path.name, quantize, tolerance=tolerance)
    notes += [note for runner in matched.values() for note in runner.notes]
    return Parity(parity.comparisons, tuple(notes))


def _fixed_batch(inputs: Mapping[str, Mapping[str, Spec]]) -> int | None:
    """Return the only size that the first axis of every input has, if it is fixed."""
    sizes = {spec.shape[0] for specs in inputs.values() for spec in specs.values() if spec.shape}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if isinstance(size, int) else None


class _SavedModelAnswers(Answers):
    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return self._runner(inputs)


def _answers_of_saved_model(release: Release, inputs: Examples) -> dict[str, Reference]:
    runners = open_runners(release.path, "saved_model")
    # The functions are never called: the runners are.
    endpoints = {name: Endpoint(dict, specs) for name, specs in release.inputs.items()}
    examples = check_examples(endpoints, inputs)
    references = {}
    for name, endpoint in endpoints.items():
        precision = release.manifest["endpoints"][name]["precision"]
        insight = Insight({}) if precision == "float32" else None
        cases = answer_examples(
            name,
            endpoint,
            examples,
            release.smallest_vocabulary,
            _SavedModelAnswers(runners[name]),
            insight,
        )
        references[name] = Reference(name, release.inputs[name], release.outputs[name], cases, precision)
    return references
