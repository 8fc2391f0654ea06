"""Held-out models of every kind: exported to all three formats, or refused with the remedy."""

import copy
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from docs.zoo.families import SPECIMENS
from docs.zoo.models import Specimen, disturbed
from keras_dl_export import ExportError, export, load_artifact, to_onnx, to_saved_model, to_tflite

pytestmark = pytest.mark.slow

FORMATS = {"saved_model": to_saved_model, "tflite": to_tflite, "onnx": to_onnx}
LOOPS = {"Loop", "Scan", "If"}


def state_of(model: keras.Model) -> Any:
    """Return a copy of the state of a model that an export might change."""
    flat = model._flatten_layers()
    return copy.deepcopy(
        (
            [np.asarray(variable.value).tobytes() for variable in model.variables],
            [(layer.name, layer.trainable, layer.dtype_policy.name, layer.built) for layer in flat],
            [getattr(layer, "stateful", None) for layer in flat],
        )
    )


@pytest.mark.parametrize(
    "specimen", [each for each in SPECIMENS if each.tested], ids=lambda specimen: specimen.name
)
def test_every_format_matches_the_model_or_is_refused_with_the_reason(
    specimen: Specimen, tmp_path: Path
) -> None:
    model = disturbed(specimen.build())
    before = state_of(model)
    expressed = [format for format in FORMATS if format not in specimen.refused]
    for format, message in specimen.refused.items():
        with pytest.raises(ExportError, match=f"(?s){message}"):
            FORMATS[format](model, tmp_path / "refused", inputs=specimen.inputs)
        assert not any(tmp_path.iterdir())
    if expressed:
        # Each file was compared with the model, twice and at two sizes, or else there would be no release.
        release = export(model, tmp_path / "release", expressed, specimen.inputs)
        assert [artifact.format for artifact in release.artifacts] == expressed
        for artifact in release.artifacts:
            assert artifact.parity.comparisons
            if artifact.format == "tflite":
                assert not any(name.startswith(("CUSTOM", "Flex")) for name in artifact.operators)
            if artifact.format == "onnx":
                assert specimen.loops == bool(LOOPS & set(artifact.operators)), artifact.operators
                assert specimen.loops or not artifact.notes
        again = load_artifact(release, format=expressed[-1])
        assert {"Identity", "Identity:0"}.isdisjoint((*again.inputs, *again.outputs))
    assert state_of(model) == before
