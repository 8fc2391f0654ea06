"""Compare written files and releases with their model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from keras_dl_export.endpoints import Endpoint
from keras_dl_export.formats.registry import format_of, open_runners
from keras_dl_export.model_endpoints import endpoints_of
from keras_dl_export.parity.checking import check_parity
from keras_dl_export.parity.matching import MatchedRunner, fit_endpoint, match_endpoints
from keras_dl_export.release import Release, open_release
from keras_dl_export.results import Comparison, Parity
from keras_dl_export.runner import Runner
from keras_dl_export.samples.answers import Answers
from keras_dl_export.samples.drawing import Examples, check_examples, draw_samples
from keras_dl_export.samples.references import Reference
from keras_dl_export.samples.usage import Insight
from keras_dl_export.specs import Spec
from keras_dl_export.tracing import trace_chosen, trace_endpoints


def verify_release(path: Path, model: Any, inputs: Examples, random: str, tolerance: float | None) -> Parity:
    """Compare all files of a release with a model or its SavedModel; the arguments are as in `verify`."""
    release = open_release(path)
    if inputs is None and any(written.quantize == "int8" for written in release.artifacts):
        # Only here is tensorflow-serving-api needed.
        from keras_dl_export.formats.saved_model.saved_model_warmup import read_warmup_requests

        # int8 files are accurate only within the calibration range.
        inputs = read_warmup_requests(release.path)
    references: Mapping[str, Reference] = (
        trace_endpoints(model, inputs, random=random, batch_size=_fixed_batch(release.inputs))
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


def verify_file(
    path: Path, quantize: str | None, model: Any, inputs: Examples, random: str, tolerance: float | None
) -> Parity:
    """Compare a file of any exporter with a model; the arguments are as in `verify`."""
    offered = endpoints_of(model, inputs)
    runners, notes = match_endpoints(open_runners(path, format_of(path)), offered)
    fitted = {name: fit_endpoint(path.name, name, offered[name], runner) for name, runner in runners.items()}
    endpoints = {name: endpoint for name, (endpoint, _) in fitted.items()}
    signatures = trace_chosen(model, endpoints, check_examples(offered, inputs), random=random)
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
    """Return the fixed size of the first axis, if all inputs have the same one."""
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
    # Only the runners are called, never these functions.
    endpoints = {name: Endpoint(dict, specs) for name, specs in release.inputs.items()}
    examples = check_examples(endpoints, inputs)
    references = {}
    for name, endpoint in endpoints.items():
        precision = release.manifest["endpoints"][name]["precision"]
        insight = Insight({}) if precision == "float32" else None
        samples = draw_samples(
            name,
            endpoint,
            examples,
            release.smallest_vocabulary,
            _SavedModelAnswers(runners[name]),
            insight,
        )
        references[name] = Reference(name, release.inputs[name], release.outputs[name], samples, precision)
    return references
