"""Run an ONNX file in onnxruntime. No module that writes files is imported here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from keras_dl_export.dtypes import encode
from keras_dl_export.runner import Arrays, Runner
from keras_dl_export.specs import DEFAULT_ENDPOINT, Spec

ENDPOINT_KEY = "keras_dl.endpoint"  # metadata: the endpoint's name
INPUTS_KEY = "keras_dl.inputs"  # metadata: a JSON object, input names in the file -> the endpoint's


class OnnxRunner(Runner):
    """The endpoint of an ONNX file.

    Attributes:
        session: onnxruntime's session.
        names_in_file: the name in the file of each input.
    """

    def __init__(
        self, endpoint: str, session: onnxruntime.InferenceSession, names: Mapping[str, str]
    ) -> None:
        inputs = {names.get(tensor.name, tensor.name): tensor for tensor in session.get_inputs()}
        self.session = session
        self.names_in_file = {name: tensor.name for name, tensor in inputs.items()}
        super().__init__(
            endpoint,
            {name: _spec(name, tensor) for name, tensor in inputs.items()},
            {tensor.name: _spec(tensor.name, tensor) for tensor in session.get_outputs()},
        )

    def run(self, inputs: Arrays) -> Arrays:
        """Run the session on arrays that fit `inputs`."""
        outputs = list(self.outputs)
        return dict(zip(outputs, self.compute(inputs, outputs), strict=True))

    def compute(
        self,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
        options: onnxruntime.RunOptions | None = None,
    ) -> list[NDArray[Any]]:
        """Compute only the named outputs.

        Args:
            inputs: arrays that fit `inputs`.
            outputs: the names of outputs.
            options: onnxruntime's options of this run.
        """
        feeds = {self.names_in_file[name]: as_onnx_text(array) for name, array in inputs.items()}
        results: list[NDArray[Any]] = self.session.run(outputs, feeds, options)
        return results


def open_onnx(
    path: Path, threads: int | None = None, options: onnxruntime.SessionOptions | None = None
) -> dict[str, OnnxRunner]:
    """Load an ONNX file and return its endpoint by name.

    A file from another exporter does not name its endpoint, which is then `serving_default`.

    Args:
        path: the file.
        threads: the number of threads of an operator; by default one per core.
        options: further session options of onnxruntime.
    """
    options = options or onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    endpoint = metadata.get(ENDPOINT_KEY, DEFAULT_ENDPOINT)
    return {endpoint: OnnxRunner(endpoint, session, json.loads(metadata.get(INPUTS_KEY, "{}")))}


def as_onnx_text(array: NDArray[Any]) -> NDArray[Any]:
    """Return strings as `str`, because onnxruntime converts bytes to the text `b'a'`; others unchanged."""
    if array.dtype != object:
        return array
    decoded = np.empty(array.shape, object)
    decoded.ravel()[:] = [encode(text).decode("utf-8", "replace") for text in array.flat]
    return decoded


def _spec(name: str, tensor: Any) -> Spec:
    word = tensor.type.removeprefix("tensor(").removesuffix(")")
    dtype = {"float": "float32", "double": "float64"}.get(word, word)
    axes = zip(tensor.shape, Spec.named(name, [None] * len(tensor.shape), dtype).shape, strict=True)
    return Spec(tuple(size or fallback for size, fallback in axes), dtype)
