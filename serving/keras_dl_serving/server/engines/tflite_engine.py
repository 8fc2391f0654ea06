"""TFLite files in LiteRT's interpreter."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter

from keras_dl_export.dtypes import Array
from keras_dl_export.formats.tflite.tflite_runner import TFLiteRunner, UnsignedTFLiteRunner, make_runners
from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE, PREDICT_METHOD, Signature, TensorSpec
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.engines import tflite_metadata
from keras_dl_serving.server.engines.definitions import serialize
from keras_dl_serving.server.engines.engine import Cancellation, Threads

_Runner = TFLiteRunner | UnsignedTFLiteRunner


class TFLiteEngine:
    """The TFLite file of one version. One call runs at a time: an interpreter has one set of tensors."""

    def __init__(self, file: Path, threads: Threads) -> None:
        try:
            self._interpreter = Interpreter(str(file), num_threads=threads.within or None)
        except (ValueError, RuntimeError) as error:
            raise InvalidArgumentError(f"LiteRT cannot load {file.name}: {error}") from error
        self._lock = threading.Lock()
        definitions = tflite_metadata.signature_defs(file.read_bytes())
        self._runners = _runners(self._interpreter, definitions)
        self.signatures: Mapping[str, Signature] = {
            name: _signature(runner, definitions[name].method_name if definitions else PREDICT_METHOD)
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
            if cancellation:  # LiteRT runs to the end; a request that has waited for its turn need not begin
                cancellation.check()
            try:
                results = self._runners[signature_name].run({**inputs})
            except (ValueError, RuntimeError) as error:
                raise InvalidArgumentError(str(error)) from error
        return [results[name] for name in outputs]

    def close(self) -> None:
        """Release the interpreter."""
        self._runners.clear()
        del self._interpreter


def _runners(
    interpreter: Interpreter, definitions: Mapping[str, messages.SignatureDef]
) -> dict[str, _Runner]:
    """Return a runner per definition of TensorFlow Serving's, or else per signature of the file."""
    if not definitions and interpreter.get_signature_list():
        return {**make_runners(interpreter)}
    interpreter.allocate_tensors()  # a file that cannot be run is refused now
    lock = threading.Lock()
    found = interpreter.get_input_details(), interpreter.get_output_details()
    inputs, outputs = ({_bare(each["name"]): each["name"] for each in details} for details in found)
    if not definitions:
        return {DEFAULT_SIGNATURE: UnsignedTFLiteRunner(interpreter, lock, inputs, outputs)}
    return {
        name: UnsignedTFLiteRunner(
            interpreter,
            lock,
            _aliases("input", definition.inputs, inputs),
            _aliases("output", definition.outputs, outputs),
        )
        for name, definition in definitions.items()
    }


def _aliases(
    kind: str, infos: Mapping[str, messages.TensorInfo], tensors: Mapping[str, str]
) -> dict[str, str]:
    bare = {alias: _bare(info.name) for alias, info in infos.items()}
    for alias, name in bare.items():
        if name not in tensors:
            raise InvalidArgumentError(
                f"Signature {kind} {alias} references an unknown tensor: Unknown tensor '{name}'."
            )
    return {alias: tensors[name] for alias, name in bare.items()}


def _bare(name: str) -> str:
    # TensorFlow's names end in the number of the output, which converters may omit.
    return name.partition(":")[0]


def _signature(runner: _Runner, method_name: str) -> Signature:
    inputs, outputs = runner.names_in_file
    return Signature(
        inputs={name: TensorSpec.of(runner.inputs[name], inputs[name]) for name in sorted(inputs)},
        outputs={name: TensorSpec.of(runner.outputs[name], outputs[name]) for name in sorted(outputs)},
        method_name=method_name,
    )


def _check(name: str, array: Array, spec: TensorSpec) -> None:
    # The interpreter resizes its inputs to any shape. A file that names its free axes is taken at its word;
    # a file that was converted with every size fixed is resized, as in the original.
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
