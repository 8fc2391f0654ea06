"""Run a TFLite file in LiteRT's interpreter. No module that writes files is imported here."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_dl_export.names import as_parameters
from keras_dl_export.quiet import silence
from keras_dl_export.runner import Arrays, IntegerScale, Runner
from keras_dl_export.specs import DEFAULT_ENDPOINT, Spec


class TFLiteRunner(Runner):
    """One signature of a TFLite file.

    Args:
        endpoint: the signature's name.
        interpreter: LiteRT's interpreter of the file.
        lock: acquired for each call, because an interpreter's tensors are shared by all its signatures.

    Attributes:
        names_in_file: the names of the tensors in the file, of the inputs and of the outputs.
    """

    def __init__(self, endpoint: str, interpreter: Interpreter, lock: threading.Lock) -> None:
        self._signature = interpreter.get_signature_runner(endpoint)
        self._interpreter = interpreter
        self._lock = lock
        inputs, outputs = self._signature.get_input_details(), self._signature.get_output_details()
        super().__init__(endpoint, _specs(inputs), _specs(outputs))
        self.names_in_file = _names(inputs), _names(outputs)
        self.input_scales, self.output_scales = _integer_scales(inputs), _integer_scales(outputs)
        self._parameters = as_parameters(self.inputs)
        # Inputs are keyword arguments, and the method has its own parameter `self`.
        indices = self._signature._inputs
        self._signature._inputs = {self._parameters[name]: index for name, index in indices.items()}

    def run(self, inputs: Arrays) -> Arrays:
        """Run the signature on arrays that fit `inputs`."""
        with self._lock:
            # A fused LSTM would continue from the previous call. This fails before the first call allocates.
            with contextlib.suppress(RuntimeError, ValueError):
                self._interpreter.reset_all_variables()
            outputs: Arrays = self._signature(
                **{self._parameters[name]: array for name, array in inputs.items()}
            )
        return outputs


class UnsignedTFLiteRunner(Runner):
    """The tensors of a TFLite file as one endpoint, without a signature of the file.

    Args:
        interpreter: LiteRT's interpreter of the file.
        lock: acquired for each call.
        inputs: the names in the file of the inputs, by name; by default all of them, by their own names.
        outputs: likewise.

    Attributes:
        names_in_file: the names of the tensors in the file, of the inputs and of the outputs.

    Raises:
        KeyError: the file has no tensor of such a name.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        lock: threading.Lock,
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
    ) -> None:
        given = _details(interpreter.get_input_details(), inputs)
        made = _details(interpreter.get_output_details(), outputs)
        self._interpreter = interpreter
        self._lock = lock
        self._places = [{name: detail["index"] for name, detail in each.items()} for each in (given, made)]
        super().__init__(DEFAULT_ENDPOINT, _specs(given), _specs(made))
        self.names_in_file = _names(given), _names(made)
        self.input_scales, self.output_scales = _integer_scales(given), _integer_scales(made)

    def run(self, inputs: Arrays) -> Arrays:
        """Run the file on arrays that fit `inputs`."""
        given, made = self._places
        with self._lock:
            for name, array in inputs.items():
                self._interpreter.resize_tensor_input(given[name], array.shape)
            self._interpreter.allocate_tensors()
            self._interpreter.reset_all_variables()
            for name, array in inputs.items():
                self._interpreter.set_tensor(given[name], array)
            self._interpreter.invoke()
            # A copy of each, as the interpreter's own tensors change with the next call.
            return {name: np.asarray(self._interpreter.get_tensor(index)) for name, index in made.items()}


def open_tflite(path: Path, threads: int | None = None) -> dict[str, TFLiteRunner | UnsignedTFLiteRunner]:
    """Load a TFLite file once and return a runner for each of its signatures.

    A file without signatures has the single endpoint `serving_default`.

    Args:
        path: the file.
        threads: the number of threads of an operator; by default LiteRT chooses.
    """
    with silence():
        interpreter = Interpreter(str(path), num_threads=threads)
        # It prints its delegate here. Dynamic axes are still 1, which may be invalid for the model.
        with contextlib.suppress(RuntimeError, ValueError):
            interpreter.allocate_tensors()
    return make_runners(interpreter)


def make_runners(interpreter: Interpreter) -> dict[str, TFLiteRunner | UnsignedTFLiteRunner]:
    """Return a runner for each signature of an interpreter's file, as `open_tflite` does."""
    lock = threading.Lock()
    if not interpreter.get_signature_list():
        return {DEFAULT_ENDPOINT: UnsignedTFLiteRunner(interpreter, lock)}
    return {name: TFLiteRunner(name, interpreter, lock) for name in interpreter.get_signature_list()}


def _details(found: list[Any], names: Mapping[str, str] | None) -> dict[str, Any]:
    details = {detail["name"]: detail for detail in found}
    return details if names is None else {name: details[in_file] for name, in_file in names.items()}


def _names(details: Mapping[str, Any]) -> dict[str, str]:
    return {name: detail["name"] for name, detail in details.items()}


def _specs(details: Mapping[str, Any]) -> dict[str, Spec]:
    specs = {}
    for name, detail in details.items():
        shape = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
        sizes = [None if size < 0 else int(size) for size in shape]
        dtype = np.dtype(detail["dtype"])
        specs[name] = Spec.named(name, sizes, "string" if dtype.kind in "SO" else dtype.name)
    return specs


def _integer_scales(details: Mapping[str, Any]) -> dict[str, IntegerScale]:
    return {
        name: IntegerScale(float(scale), int(zero_point), np.dtype(detail["dtype"]).name)
        for name, detail in details.items()
        for scale, zero_point in [detail["quantization"]]
        if scale and np.issubdtype(detail["dtype"], np.integer)
    }
