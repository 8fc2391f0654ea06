"""ONNX files through onnxruntime: a file for each signature."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as states

from keras_dl_export.dtypes import Array
from keras_dl_export.formats.onnx.onnx_runner import ENDPOINT_KEY, INPUTS_KEY
from keras_dl_serving.errors import CancelledError, InternalError, InvalidArgumentError
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE, Signature, TensorSpec
from keras_dl_serving.server.engines.definitions import serialize
from keras_dl_serving.server.engines.engine import Cancellation, Threads

_FATAL = 4  # of onnxruntime's levels of logging
_DTYPES = {"float": "float32", "double": "float64"}


class OnnxEngine:
    """The files of one version."""

    def __init__(self, files: Sequence[Path], threads: Threads) -> None:
        self._endpoints: dict[str, _Endpoint] = {}
        for file in files:
            endpoint = _Endpoint(file, threads, only=len(files) == 1)
            self._endpoints.setdefault(endpoint.name, endpoint)
        self.signatures: Mapping[str, Signature] = {
            name: self._endpoints[name].signature for name in sorted(self._endpoints)
        }
        self.refused: Mapping[str, str] = {}
        self.signature_def_map = serialize(self.signatures)

    def run(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        cancellation: Cancellation | None = None,
    ) -> list[Array]:
        """Compute the named outputs."""
        return self._endpoints[signature_name].run(inputs, outputs, cancellation)

    def close(self) -> None:
        """Let go of the sessions."""
        self._endpoints.clear()


class _Endpoint:
    """One file."""

    def __init__(self, file: Path, threads: Threads, *, only: bool) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads.within
        options.inter_op_num_threads = threads.between
        if threads.between > 1:  # onnxruntime runs one operation at a time unless told otherwise
            options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
        # Threads that spin while they wait for work take the processor from those that have some.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise InvalidArgumentError(f"onnxruntime cannot load {file.name}: {error}") from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        # A file of another exporter does not say which endpoint it is.
        self.name = metadata.get(ENDPOINT_KEY, DEFAULT_SIGNATURE if only else file.stem)
        renamed = json.loads(metadata.get(INPUTS_KEY, "{}"))
        inputs = {renamed.get(tensor.name, tensor.name): tensor for tensor in self._session.get_inputs()}
        outputs = {tensor.name: tensor for tensor in self._session.get_outputs()}
        self._written = {name: tensor.name for name, tensor in inputs.items()}
        self.signature = Signature(
            inputs={name: _spec(inputs[name]) for name in sorted(inputs)},
            outputs={name: _spec(outputs[name]) for name in sorted(outputs)},
        )

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], cancellation: Cancellation | None
    ) -> list[Array]:
        feeds = {self._written[name]: _for_onnxruntime(array) for name, array in inputs.items()}
        options = onnxruntime.RunOptions()
        options.log_severity_level = _FATAL  # errors are raised, too
        if cancellation:
            cancellation.on_cancel(partial(setattr, options, "terminate", True))
        try:
            results = self._session.run(list(outputs), feeds, options)
        except Exception as error:
            if options.terminate:
                raise CancelledError("The request was given up") from None
            if isinstance(error, states.InvalidArgument | RuntimeError):
                # A shape that does not fit inside of the graph is a runtime exception, and the fault of the
                # request too: the file itself was run before it was released.
                raise InvalidArgumentError(str(error)) from error
            raise InternalError(f"{type(error).__name__}: {error}") from error
        return [_from_onnxruntime(result) for result in results]


def _spec(tensor: Any) -> TensorSpec:
    word = tensor.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in tensor.shape)
    return TensorSpec(shape, _DTYPES.get(word, word), tensor.name)


def _for_onnxruntime(array: Array) -> Array:
    if array.dtype != object:
        return np.ascontiguousarray(array)
    strings = [value.decode("utf-8", "replace") for value in array.ravel().tolist()]
    return np.array(strings, object).reshape(array.shape)


def _from_onnxruntime(result: Any) -> Array:
    array = np.asarray(result)
    if array.dtype.kind not in "OU":
        return array
    strings = np.empty(array.size, object)
    strings[:] = [str(value).encode() for value in array.ravel().tolist()]
    return strings.reshape(array.shape)
