"""TFLite files through LiteRT's interpreter."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE, PREDICT_METHOD, Signature, TensorSpec
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.engines import tflite_metadata
from keras_dl_serving.server.engines.definitions import serialize
from keras_dl_serving.server.engines.engine import Cancellation, Threads


class TFLiteEngine:
    """One file. An interpreter's tensors are its own, so one call runs at a time."""

    def __init__(self, file: Path, threads: Threads) -> None:
        try:
            self._interpreter = Interpreter(str(file), num_threads=threads.within or None)
        except (ValueError, RuntimeError) as error:
            raise InvalidArgumentError(f"LiteRT cannot load {file.name}: {error}") from error
        self._lock = threading.Lock()
        names = list(self._interpreter.get_signature_list())
        definitions = tflite_metadata.signature_defs(file.read_bytes())
        if definitions:
            self._runners: dict[str, _Signature | _Tensors] = {
                name: _Tensors(self._interpreter, definition) for name, definition in definitions.items()
            }
        elif names:
            self._runners = {name: _Signature(self._interpreter.get_signature_runner(name)) for name in names}
        else:
            self._runners = {DEFAULT_SIGNATURE: _Tensors(self._interpreter)}
        self.signatures: Mapping[str, Signature] = {
            name: Signature(
                inputs=_specs(runner.get_input_details()),
                outputs=_specs(runner.get_output_details()),
                method_name=definitions[name].method_name if definitions else PREDICT_METHOD,
            )
            for name, runner in sorted(self._runners.items())
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
        for name, spec in self.signatures[signature_name].inputs.items():
            _check(name, inputs[name], spec)
        with self._lock:
            if cancellation:  # LiteRT runs to the end; what has waited for its turn need not begin
                cancellation.check()
            with contextlib.suppress(RuntimeError, ValueError):  # nothing is allocated before the first call
                self._interpreter.reset_all_variables()  # a fused LSTM would go on from the call before
            try:
                results = self._runners[signature_name](inputs)
            except (ValueError, RuntimeError) as error:
                raise InvalidArgumentError(str(error)) from error
        return [results[name] for name in outputs]

    def close(self) -> None:
        """Let go of the interpreter."""
        self._runners.clear()
        del self._interpreter


class _Signature:
    """A signature of the file, with inputs of any name.

    The runner of LiteRT takes its inputs by keyword, and its method has a parameter `self` of its own.

    Args:
        runner: LiteRT's.
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._input_details = runner.get_input_details()
        self._parameters = {name: f"input_{place}" for place, name in enumerate(self._input_details)}
        indices = runner._inputs
        runner._inputs = {self._parameters[name]: index for name, index in indices.items()}

    def get_input_details(self) -> dict[str, Any]:
        return dict(self._input_details)

    def get_output_details(self) -> dict[str, Any]:
        return dict(self._runner.get_output_details())

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        found: dict[str, Array] = self._runner(
            **{self._parameters[name]: array for name, array in inputs.items()}
        )
        return found


class _Tensors:
    """The tensors of the file itself, as a signature.

    Args:
        interpreter: has them.
        definition: their aliases; by default their own names are.

    Raises:
        InvalidArgumentError: the definition names a tensor that is not there.
    """

    def __init__(self, interpreter: Interpreter, definition: messages.SignatureDef | None = None) -> None:
        self._interpreter = interpreter
        self._definition = definition
        interpreter.allocate_tensors()
        self.get_input_details()
        self.get_output_details()

    def get_input_details(self) -> dict[str, Any]:
        return self._details(self._interpreter.get_input_details(), "inputs")

    def get_output_details(self) -> dict[str, Any]:
        return self._details(self._interpreter.get_output_details(), "outputs")

    def _details(self, details: list[Any], kind: str) -> dict[str, Any]:
        found = {_bare(detail["name"]): detail for detail in details}
        if self._definition is None:
            return found
        aliases = {alias: _bare(info.name) for alias, info in getattr(self._definition, kind).items()}
        for alias, name in aliases.items():
            if name not in found:
                raise InvalidArgumentError(
                    f"Signature {kind[:-1]} {alias} references an unknown tensor: Unknown tensor '{name}'."
                )
        return {alias: found[name] for alias, name in aliases.items()}

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
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


def _bare(name: str) -> str:
    # TensorFlow's names end in the number of the output, which converters may leave away.
    return name.partition(":")[0]


def _check(name: str, array: Array, spec: TensorSpec) -> None:
    # The interpreter resizes its inputs to whatever comes. A file that says which axes are free is taken at
    # its word; one that was converted with a size for each is resized, as in the original.
    fixed = spec.shape is not None and None not in spec.shape
    fits = (
        spec.shape is None
        or fixed
        or (
            len(spec.shape) == array.ndim
            and all(want in (None, size) for want, size in zip(spec.shape, array.shape, strict=True))
        )
    )
    if not fits:
        raise InvalidArgumentError(
            f"input {name}: expected shape {list(spec.shape or ())}, got {list(array.shape)}".replace(
                "None", "-1"
            )
        )
    if array.dtype.name != spec.dtype and spec.dtype != "string":
        raise InvalidArgumentError(f"input {name}: expected {spec.dtype}, got {array.dtype.name}")


def _specs(details: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {name: _spec(details[name]) for name in sorted(details)}


def _spec(detail: Any) -> TensorSpec:
    sizes = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
    shape = tuple(None if size < 0 else int(size) for size in sizes)
    dtype = np.dtype(detail["dtype"])
    return TensorSpec(shape, "string" if dtype.kind in "SO" else dtype.name, detail["name"])
