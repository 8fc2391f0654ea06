"""Look again whether a written file gives the right numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_dl_export.artifact import Artifact
from keras_dl_export.cases import Examples, Reference, answer_examples, check_examples
from keras_dl_export.endpoints import Endpoint
from keras_dl_export.parity import Comparison, Parity, check_parity
from keras_dl_export.release import Release, holds_release, open_release
from keras_dl_export.runtime import format_of, open_runners
from keras_dl_export.saved_model import read_warmup_requests
from keras_dl_export.signatures import sign
from keras_dl_export.specs import Spec


def verify(
    artifact: str | os.PathLike[str], model: Any = None, inputs: Examples = None, *, random: str = "refuse"
) -> Parity:
    """Run a file, or all files of a release, in their own runtimes and compare.

    Args:
        artifact: what `to_onnx` and its kin return (of a quantised file nothing else knows the tolerance), a
            path to such a file, or a release, whose files are also compared with their hashes.
        model: the Keras model to compare with. A release can do without: its files are then compared with its
            SavedModel.
        inputs: real examples to compare on, as for `export`; by default those of an int8 release's own
            warm-up requests.
        random: what became of the model's random numbers, as for `export`.

    Returns:
        The comparisons, all of them passed.

    Raises:
        ParityError: an output is out of tolerance; it names endpoint, output, worst index and both values.
        ReleaseError: the release is half-written or altered.
        ValueError: a single file without a model, or `inputs` that do not fit.
        FileNotFoundError: there is nothing at `artifact`.
    """
    path = Path(artifact)
    if not path.exists():
        raise FileNotFoundError(f"artifact: expected a model file or a release, found nothing at {path}.")
    if not holds_release(path):
        if model is None:
            raise ValueError(
                f"model: expected the Keras model that {path} was made of; only a release goes without."
            )
        runners = open_runners(path, format_of(path))
        quantize = artifact.quantize if isinstance(artifact, Artifact) else None
        batch_size = _fixed_batch({name: runner.inputs for name, runner in runners.items()})
        signatures = sign(model, inputs, runners, random=random, batch_size=batch_size)
        return check_parity(runners, signatures, path.name, quantize)
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
        label = "saved_model" if written.path == release.path else str(written.path.relative_to(release.path))
        wanted = {name: references[name] for name in written.endpoints}
        comparisons += check_parity(runners, wanted, label, written.quantize).comparisons
    return Parity(tuple(comparisons))


def _fixed_batch(inputs: Mapping[str, Mapping[str, Spec]]) -> int | None:
    """Return the only size that the first axis of every input has, if it is fixed."""
    sizes = {spec.shape[0] for specs in inputs.values() for spec in specs.values() if spec.shape}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if isinstance(size, int) else None


def _answers_of_saved_model(release: Release, inputs: Examples) -> dict[str, Reference]:
    runners = open_runners(release.path, "saved_model")

    def endpoint_of(name: str) -> Endpoint:
        return Endpoint(lambda **tensors: runners[name](tensors), release.inputs[name])

    endpoints = {name: endpoint_of(name) for name in release.inputs}
    examples = check_examples(endpoints, inputs)
    return {
        name: Reference(
            name,
            release.inputs[name],
            release.outputs[name],
            answer_examples(name, endpoint, examples, release.smallest_vocabulary, eagerly=True),
            release.manifest["endpoints"][name]["precision"],
        )
        for name, endpoint in endpoints.items()
    }
