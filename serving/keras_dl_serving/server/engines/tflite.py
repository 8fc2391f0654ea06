"""TFLite files through LiteRT's interpreter."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import InvalidArgument
from keras_dl_serving.server.engines import Cancellation, Threads
from keras_dl_serving.server.engines.definitions import serialise
from keras_dl_serving.signatures import DEFAULT_SIGNATURE, Signature, TensorSpec


class TFLiteEngine:
    """One file. An interpreter's tensors are its own, so one call runs at a time."""

    def __init__(self, file: Path, threads: Threads) -> None:
        try:
            self._interpreter = Interpreter(str(file), num_threads=threads.within or None)
        except (ValueError, RuntimeError) as error:
            raise InvalidArgument(f"LiteRT cannot load {file.name}: {error}") from error
        self._lock = threading.Lock()
        names = list(self._interpreter.get_signature_list())
        self._runners: dict[str, Any] = (
            {name: self._interpreter.get_signature_runner(name) for name in names}
            if names
            else {DEFAULT_SIGNATURE: _Unnamed(self._interpreter)}
        )
        self.signatures: Mapping[str, Signature] = {
            name: Signature(
                inputs=_specs(runner.get_input_details()), outputs=_specs(runner.get_output_details())
            )
            for name, runner in sorted(self._runners.items())
        }
        self.signature_def_map = serialise(self.signatures)

    def run(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        cancellation: Cancellation | None = None,
    ) -> list[Array]:
        """Compute the named outputs."""
        for name, spec in self.signatures[signature_name].inputs.items():
            _check(name, inputs[name], spec)
        with self._lock:
            if cancellation:  # LiteRT runs to the end; what has waited for its turn need not begin
                cancellation.check()
            with contextlib.suppress(RuntimeError, ValueError):  # nothing is allocated before the first call
                self._interpreter.reset_all_variables()  # a fused LSTM would go on from the call before
            try:
                results = self._runners[signature_name](**inputs)
            except (ValueError, RuntimeError) as error:
                raise InvalidArgument(str(error)) from error
        return [results[name] for name in outputs]

    def close(self) -> None:
        """Let go of the interpreter."""
        self._runners.clear()
        del self._interpreter


class _Unnamed:
    """What a signature's runner is, for a file without signatures."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        interpreter.allocate_tensors()

    def get_input_details(self) -> dict[str, Any]:
        return {detail["name"]: detail for detail in self._interpreter.get_input_details()}

    def get_output_details(self) -> dict[str, Any]:
        return {detail["name"]: detail for detail in self._interpreter.get_output_details()}

    def __call__(self, **inputs: Array) -> dict[str, Array]:
        details = self.get_input_details()
        for name, array in inputs.items():
            if tuple(details[name]["shape"]) != array.shape:
                self._interpreter.resize_tensor_input(details[name]["index"], array.shape)
        self._interpreter.allocate_tensors()
        for name, array in inputs.items():
            self._interpreter.set_tensor(details[name]["index"], array)
        self._interpreter.invoke()
        return {
            name: self._interpreter.get_tensor(detail["index"])
            for name, detail in self.get_output_details().items()
        }


def _check(name: str, array: Array, spec: TensorSpec) -> None:
    # The interpreter resizes its inputs to whatever comes, and some shapes crash it.
    fits = spec.shape is None or (
        len(spec.shape) == array.ndim
        and all(want in (None, size) for want, size in zip(spec.shape, array.shape, strict=True))
    )
    if not fits:
        raise InvalidArgument(
            f"input {name}: expected shape {list(spec.shape or ())}, got {list(array.shape)}".replace(
                "None", "-1"
            )
        )
    if array.dtype.name != spec.dtype and spec.dtype != "string":
        raise InvalidArgument(f"input {name}: expected {spec.dtype}, got {array.dtype.name}")


def _specs(details: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {name: _spec(details[name]) for name in sorted(details)}


def _spec(detail: Any) -> TensorSpec:
    sizes = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
    shape = tuple(None if size < 0 else int(size) for size in sizes)
    dtype = np.dtype(detail["dtype"])
    return TensorSpec(shape, "string" if dtype.kind in "SO" else dtype.name, detail["name"])
