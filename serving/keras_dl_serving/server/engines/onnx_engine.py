"""ONNX files in onnxruntime: one file per signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as states

from keras_dl_export.dtypes import Array
from keras_dl_export.formats.onnx.onnx_runner import ENDPOINT_KEY, OnnxRunner, open_onnx
from keras_dl_serving.errors import CancelledError, InternalError, InvalidArgumentError
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE, Signature, TensorSpec
from keras_dl_serving.server.engines.definitions import serialize
from keras_dl_serving.server.engines.engine import Cancellation, Threads

_FATAL = 4  # of onnxruntime's levels of logging


class OnnxEngine:
    """The ONNX files of one version."""

    def __init__(self, files: Sequence[Path], threads: Threads) -> None:
        self._runners: dict[str, OnnxRunner] = {}
        for file in files:
            runner = _open(file, threads)
            # A file of another exporter does not name its endpoint.
            named = ENDPOINT_KEY in runner.session.get_modelmeta().custom_metadata_map
            name = runner.endpoint if named else DEFAULT_SIGNATURE if len(files) == 1 else file.stem
            self._runners.setdefault(name, runner)
        self.signatures: Mapping[str, Signature] = {
            name: _signature(self._runners[name]) for name in sorted(self._runners)
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
        options = onnxruntime.RunOptions()
        options.log_severity_level = _FATAL  # errors are raised anyway
        if cancellation:
            cancellation.on_cancel(partial(setattr, options, "terminate", True))
        try:
            results = self._runners[signature_name].compute(inputs, list(outputs), options)
        except Exception as error:
            if options.terminate:
                raise CancelledError("The request was cancelled") from None
            if isinstance(error, states.InvalidArgument | RuntimeError):
                # A shape that does not fit inside the graph is a runtime exception, but still a fault of the
                # request: the file itself was run before it was released.
                raise InvalidArgumentError(str(error)) from error
            raise InternalError(f"{type(error).__name__}: {error}") from error
        return [_as_bytes(result) for result in results]

    def close(self) -> None:
        """Release the sessions."""
        self._runners.clear()


def _open(file: Path, threads: Threads) -> OnnxRunner:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads.within
    options.inter_op_num_threads = threads.between
    if threads.between > 1:  # by default onnxruntime runs one operation at a time
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    # Threads that spin while they wait for work take the processor from those that have some.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        (runner,) = open_onnx(file, options=options).values()
    except Exception as error:
        raise InvalidArgumentError(f"onnxruntime cannot load {file.name}: {error}") from error
    return runner


def _signature(runner: OnnxRunner) -> Signature:
    names = runner.names_in_file
    return Signature(
        inputs={name: TensorSpec.of(runner.inputs[name], names[name]) for name in sorted(runner.inputs)},
        outputs={name: TensorSpec.of(runner.outputs[name], name) for name in sorted(runner.outputs)},
    )


def _as_bytes(result: Array) -> Array:
    """Return an output with its strings as `bytes`; onnxruntime returns `str`."""
    array = np.asarray(result)
    if array.dtype.kind not in "OU":
        return array
    strings = np.empty(array.size, object)
    strings[:] = [str(value).encode() for value in array.ravel().tolist()]
    return strings.reshape(array.shape)
