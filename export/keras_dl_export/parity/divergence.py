"""The first layer whose output in a wrong file differs from the model's."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_dl_export.comparing import differs, relative_tolerance
from keras_dl_export.endpoints import Endpoint
from keras_dl_export.formats.registry import open_runners
from keras_dl_export.lowering.patching import patched
from keras_dl_export.predictor import Predictor
from keras_dl_export.samples.references import Sample
from keras_dl_export.tracing import Signature, trace_like

Writer = Callable[[Mapping[str, Signature], Path], None]

_LAYERS_AT_ONCE = 24  # outputs added to a file at a time; all of them may exceed the memory
_SECONDS = 60.0


class Divergence:
    """A search for the first wrong layer of a file: `divergence(endpoint, sample)` returns a sentence, or "".

    The model is written again with the outputs of some of its layers in addition to its own, and run on the
    inputs at which parity failed. The search repeats between the last layer that agrees and the first that
    differs.

    Args:
        signatures: the file's endpoints.
        format: the format of the file.
        write: writes signatures in the same way as the file.
        quantize: the quantization of the file.
        tolerance: the tolerance of the comparison.
    """

    def __init__(
        self,
        signatures: Mapping[str, Signature],
        format: str,
        write: Writer,
        quantize: str | None,
        tolerance: float | None,
    ) -> None:
        self._signatures = signatures
        self._format = format
        self._write = write
        self._quantize = quantize
        self._tolerance = tolerance

    def __call__(self, endpoint: str, sample: Sample) -> str:
        try:
            layer = self._first(self._signatures[endpoint], sample)
        except Exception:  # the parity failure is reported in any case
            return ""
        return f" The first layer whose output differs is {layer!r}." if layer else ""

    def _first(self, signature: Signature, sample: Sample) -> str | None:
        until = time.monotonic() + _SECONDS
        relative = relative_tolerance(signature, self._quantize, self._tolerance)
        names = _layer_names(signature, sample)
        right, wrong = -1, len(names)
        while wrong - right > 1 and time.monotonic() < until:
            between = range(right + 1, wrong)
            step = -(-len(between) // _LAYERS_AT_ONCE)
            chosen = [*between[step - 1 :: step]]
            probed = {f"layer_{place}": names[place] for place in chosen}
            wrongs = self._wrong(signature, sample, probed, relative)
            wrong = min((place for place in chosen if f"layer_{place}" in wrongs), default=wrong)
            right = max((place for place in chosen if place < wrong), default=right)
        return names[wrong] if wrong < len(names) else None

    def _wrong(
        self, signature: Signature, sample: Sample, chosen: Mapping[str, str], relative: float
    ) -> list[str]:
        """Return the names of the probe's outputs that differ."""
        endpoint = Endpoint(
            lambda **inputs: _layer_outputs(signature.endpoint, inputs, chosen), signature.endpoint.inputs
        )
        answers = Predictor(endpoint, signature.random)
        asked = Sample(
            sample.sizes,
            sample.inputs,
            answers(sample.inputs),
            sample.kinds,
            lambda: answers.noise(sample.inputs),
        )
        probe = trace_like(signature, endpoint, (asked,))
        with tempfile.TemporaryDirectory(prefix="keras-dl-") as folder:
            path = Path(folder, "probe")
            self._write({signature.name: probe}, path)
            got = open_runners(path, self._format)[signature.name].call_in_floats(sample.inputs)
        return [name for name in chosen if name in got and differs(asked, name, got[name], relative)]


def _layer_names(signature: Signature, sample: Sample) -> list[str]:
    """Return the names of the layers and operations that an endpoint calls, in order."""
    names: list[str] = []

    def ask(*tensors: Any) -> dict[str, Any]:
        with _calls() as calls:
            signature.endpoint.function(**dict(zip(sample.inputs, tensors, strict=True)))
        names.extend(calls)
        return {}

    specs = [
        tf.TensorSpec(array.shape, signature.inputs[name].dtype) for name, array in sample.inputs.items()
    ]
    with contextlib.suppress(ValueError):
        tf.function(ask, autograph=False).get_concrete_function(*specs)
    return names


def _layer_outputs(
    endpoint: Endpoint, inputs: Mapping[str, Any], chosen: Mapping[str, str]
) -> dict[str, Any]:
    with _calls() as calls:
        outputs = dict(endpoint.function(**inputs))
    return outputs | {name: tf.identity(calls[place]) for name, place in chosen.items() if place in calls}


@contextlib.contextmanager
def _calls() -> Iterator[dict[str, Any]]:
    """Collect the outputs of layers and operations called in this thread, inner ones first.

    A number is appended to the name for a layer's second output, or the output of its second call.
    """
    graph = tf.compat.v1.get_default_graph()
    found: dict[str, Any] = {}
    within: list[str] = []

    def replace(kept: Callable[..., Any]) -> Callable[..., Any]:
        def call(operation: Any, *arguments: Any, **named: Any) -> Any:
            within.append(operation.name)
            try:
                output = kept(operation, *arguments, **named)
            finally:
                place = "/".join(within[1:] if len(within) > 1 else within)
                within.pop()
            for tensor in keras.tree.flatten(output):
                if isinstance(tensor, tf.Tensor) and tensor.graph is graph and tensor.dtype != tf.string:
                    count = sum(name.partition(" (")[0] == place for name in found)
                    found[f"{place} ({count + 1})" if count else place] = tensor
            return output

        return call

    with patched(keras.Operation, "__call__", replace):
        yield found
