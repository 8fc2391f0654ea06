"""Run a written file in its own runtime. TensorFlow is imported for a SavedModel alone."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl_export.arguments import as_path
from keras_dl_export.dtypes import encode
from keras_dl_export.endpoints import DEFAULT_ENDPOINT
from keras_dl_export.errors import ExportError, first_line
from keras_dl_export.names import as_parameters, by_word
from keras_dl_export.onnx import ENDPOINT_KEY, INPUTS_KEY
from keras_dl_export.quiet import silence
from keras_dl_export.release import holds_release, open_release
from keras_dl_export.saved_model_names import read_input_names
from keras_dl_export.specs import Spec


@dataclass(frozen=True)
class IntegerScale:
    """What the integers of a quantised tensor mean: real = scale (integer - zero_point).

    Attributes:
        scale: the step between two neighbours.
        zero_point: the integer that stands for 0.
        dtype: the integers'.
    """

    scale: float
    zero_point: int
    dtype: str

    def quantize(self, values: ArrayLike) -> NDArray[Any]:
        """Return the nearest integers; what lies outside their range becomes its end."""
        limits = np.iinfo(self.dtype)
        steps = np.round(np.asarray(values, np.float64) / self.scale) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, integers: ArrayLike) -> NDArray[Any]:
        """Return what the integers stand for, in float32."""
        steps = np.asarray(integers, np.int64) - self.zero_point
        return (steps * np.float64(self.scale)).astype(np.float32)


class Runner(ABC):
    """One endpoint of a written file: `runner({"image": images})` -> a dict of arrays.

    Attributes:
        endpoint: the endpoint's name.
        inputs: the inputs by name.
        outputs: the outputs by name.
        input_scales: what the integers mean that the inputs of a file with `integer_io=True` take, by name.
        output_scales: the same of its outputs.
    """

    def __init__(self, endpoint: str, inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]) -> None:
        self.endpoint = endpoint
        self.inputs = dict(inputs)
        self.outputs = dict(outputs)
        self.input_scales: dict[str, IntegerScale] = {}
        self.output_scales: dict[str, IntegerScale] = {}

    def __call__(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """Run the endpoint.

        Args:
            inputs: one array per input, by the name in the file or the model's own.

        Raises:
            ValueError: an input is missing, unknown or of the wrong shape.
            TypeError: an input is of the wrong dtype.
        """
        if isinstance(inputs, Mapping):
            inputs = by_word(inputs, self.inputs)
        if not isinstance(inputs, Mapping) or set(inputs) != set(self.inputs):
            got = ", ".join(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
            raise ValueError(
                f"inputs: {self.endpoint!r} expects arrays for {', '.join(self.inputs)}, got {got}."
            )
        return self._run(
            {name: spec.conform(f"inputs[{name!r}]", inputs[name]) for name, spec in self.inputs.items()}
        )

    def call_in_floats(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """Run the endpoint on floats, and return floats, where the file itself has quantised integers.

        Args:
            inputs: one array per input.
        """
        given = {
            name: self.input_scales[name].quantize(value) if name in self.input_scales else value
            for name, value in inputs.items()
        }
        return {
            name: self.output_scales[name].dequantize(value) if name in self.output_scales else value
            for name, value in self(given).items()
        }

    @abstractmethod
    def _run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]: ...


def load_artifact(
    path: str | os.PathLike[str],
    endpoint: str | None = None,
    *,
    format: str | None = None,
    version: int | None = None,
    threads: int | None = None,
) -> Runner:
    """Load one endpoint of a written file, of any of the three formats.

    Args:
        path: an ONNX or TFLite file, a SavedModel folder, a release, or the folder of a release's versions.
        endpoint: the endpoint; by default `serving_default`, or the only one there is.
        format: which of a release's formats; `saved_model` by default.
        version: which version of a release; the newest by default.
        threads: how many threads may share an operator of an ONNX or TFLite file; by default the runtime
            chooses. A SavedModel takes the process's: `tf.config.threading`, before TensorFlow's first use.

    Returns:
        A runner: called with a dict of arrays it returns a dict of arrays.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: an unknown endpoint or number of threads, or a format that the release does not hold.
        ReleaseError: the release is half-written or altered.
        ExportError: the file's own runtime refuses it.
    """
    path = as_path("path", path, "models/digits.onnx")
    if not path.exists():
        raise FileNotFoundError(
            f"path: expected a model file, a SavedModel or a release, found nothing at {path}."
        )
    if holds_release(path):
        release = open_release(path, version)
        format = format or "saved_model"
        artifacts = [artifact for artifact in release.artifacts if artifact.format == format]
        if not artifacts:
            held = ", ".join(dict.fromkeys(artifact.format for artifact in release.artifacts))
            raise ValueError(f"format: {release.path} holds {held}, got {format!r}.")
        endpoints = [name for artifact in artifacts for name in artifact.endpoints]
        endpoint = _choose(endpoint, endpoints)
        artifact = next(artifact for artifact in artifacts if endpoint in artifact.endpoints)
        runner = open_runners(artifact.path, artifact.format, threads)[endpoint]
        # Only the manifest knows the order of inputs and outputs, and which axes go together.
        runner.inputs, runner.outputs = release.inputs[endpoint], release.outputs[endpoint]
        return runner
    if format not in (None, format_of(path)):
        raise ValueError(f"format: {path} is {format_of(path)}, got {format!r}.")
    runners = open_runners(path, format_of(path), threads)
    return runners[_choose(endpoint, list(runners))]


def open_runners(path: Path, format: str, threads: int | None = None) -> dict[str, Runner]:
    """Load a file once and return a runner for each endpoint in it.

    Raises:
        ValueError: `threads` is not positive, or given for a SavedModel.
        ExportError: the file's own runtime refuses it.
    """
    if threads is not None and (threads < 1 or format == "saved_model"):
        raise ValueError(
            "threads: expected None for a SavedModel, or else at least 1, "
            f"got {threads!r} for {format}. Set TensorFlow's with tf.config.threading before its first use."
        )
    opener = {"saved_model": _open_saved_model, "tflite": _open_tflite, "onnx": _open_onnx}[format]
    try:
        return opener(path, threads)
    except Exception as error:
        raise ExportError(f"{path}: the {format} runtime cannot load it: {first_line(error)}") from error


def format_of(path: Path) -> str:
    """Tell a file's format by its content."""
    if path.is_dir():
        return "saved_model"
    with path.open("rb") as file:
        return "tflite" if file.read(8)[4:] == b"TFL3" else "onnx"


def _choose(endpoint: str | None, endpoints: Sequence[str]) -> str:
    if endpoint is None:
        endpoint = endpoints[0] if len(endpoints) == 1 else DEFAULT_ENDPOINT
    if endpoint not in endpoints:
        raise ValueError(f"endpoint: expected one of {', '.join(endpoints)}, got {endpoint!r}.")
    return endpoint


class _SavedModelRunner(Runner):
    def __init__(self, endpoint: str, loaded: Any, names: Iterable[str]) -> None:
        signature = loaded.signatures[endpoint]
        self._parameters = as_parameters(names)
        specs = _tensorflow_specs(signature.structured_input_signature[1])
        super().__init__(
            endpoint,
            {name: specs[parameter] for name, parameter in self._parameters.items()},
            _tensorflow_specs(signature.structured_outputs),
        )
        self._loaded = loaded  # owns the variables
        self._signature = signature

    def _run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        import tensorflow as tf

        tensors = {
            self._parameters[name]: tf.constant(array, self.inputs[name].dtype)
            for name, array in inputs.items()
        }
        return {name: tensor.numpy() for name, tensor in self._signature(**tensors).items()}


def _open_saved_model(path: Path, threads: int | None) -> dict[str, Runner]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    names = {
        name: list(signature.structured_input_signature[1]) for name, signature in loaded.signatures.items()
    }
    # A parameter that does not have the input's own name ends or begins so.
    if any(name.endswith("_") or name.startswith("arg_") for inputs in names.values() for name in inputs):
        names = read_input_names(path)
    return {name: _SavedModelRunner(name, loaded, names[name]) for name in loaded.signatures}


def _tensorflow_specs(tensors: Mapping[str, Any]) -> dict[str, Spec]:
    return {name: Spec.named(name, spec.shape or (), spec.dtype.name) for name, spec in tensors.items()}


class _TFLiteRunner(Runner):
    def __init__(self, endpoint: str, interpreter: Any, lock: threading.Lock) -> None:
        self._signature = interpreter.get_signature_runner(endpoint)
        self._interpreter = interpreter
        self._lock = lock
        super().__init__(
            endpoint,
            _tflite_specs(self._signature.get_input_details()),
            _tflite_specs(self._signature.get_output_details()),
        )
        self.input_scales = _integer_scales(self._signature.get_input_details())
        self.output_scales = _integer_scales(self._signature.get_output_details())
        self._parameters = as_parameters(self.inputs)
        # It takes inputs by keyword, and its method has a parameter `self` of its own.
        indices = self._signature._inputs
        self._signature._inputs = {self._parameters[name]: index for name, index in indices.items()}

    def _run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with self._lock:
            self._interpreter.reset_all_variables()  # a fused LSTM would go on from the call before
            outputs: dict[str, NDArray[Any]] = self._signature(
                **{self._parameters[name]: array for name, array in inputs.items()}
            )
        return outputs


class _UnsignedTFLiteRunner(Runner):
    """A TFLite file without signatures: its inputs and outputs are its tensors, in order."""

    def __init__(self, interpreter: Any, lock: threading.Lock) -> None:
        details = interpreter.get_input_details(), interpreter.get_output_details()
        inputs, outputs = ({detail["name"]: detail for detail in each} for each in details)
        self._interpreter = interpreter
        self._lock = lock
        self._places = [
            {name: detail["index"] for name, detail in each.items()} for each in (inputs, outputs)
        ]
        super().__init__(DEFAULT_ENDPOINT, _tflite_specs(inputs), _tflite_specs(outputs))
        self.input_scales, self.output_scales = _integer_scales(inputs), _integer_scales(outputs)

    def _run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        given, made = self._places
        with self._lock:
            for name, array in inputs.items():
                self._interpreter.resize_tensor_input(given[name], array.shape)
            self._interpreter.allocate_tensors()
            self._interpreter.reset_all_variables()
            for name, array in inputs.items():
                self._interpreter.set_tensor(given[name], array)
            self._interpreter.invoke()
            return {name: np.array(self._interpreter.get_tensor(index)) for name, index in made.items()}


def _open_tflite(path: Path, threads: int | None) -> dict[str, Runner]:
    from ai_edge_litert.interpreter import Interpreter

    with silence():
        interpreter = Interpreter(str(path), num_threads=threads)
        # The moment at which it announces its delegate. Dynamic axes are still 1, which a model may not fit.
        with contextlib.suppress(RuntimeError, ValueError):
            interpreter.allocate_tensors()
    lock = threading.Lock()  # an interpreter's tensors are its own: one call at a time
    if not interpreter.get_signature_list():
        return {DEFAULT_ENDPOINT: _UnsignedTFLiteRunner(interpreter, lock)}
    return {name: _TFLiteRunner(name, interpreter, lock) for name in interpreter.get_signature_list()}


def _tflite_specs(details: Mapping[str, Any]) -> dict[str, Spec]:
    specs = {}
    for name, detail in details.items():
        shape = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
        sizes = [None if size < 0 else int(size) for size in shape]
        specs[name] = Spec.named(name, sizes, np.dtype(detail["dtype"]).name)
    return specs


def _integer_scales(details: Mapping[str, Any]) -> dict[str, IntegerScale]:
    return {
        name: IntegerScale(float(scale), int(zero_point), np.dtype(detail["dtype"]).name)
        for name, detail in details.items()
        for scale, zero_point in [detail["quantization"]]
        if scale and np.issubdtype(detail["dtype"], np.integer)
    }


class _OnnxRunner(Runner):
    def __init__(self, endpoint: str, session: Any, names: Mapping[str, str]) -> None:
        inputs = {names.get(tensor.name, tensor.name): tensor for tensor in session.get_inputs()}
        self._session = session
        self._written = {name: tensor.name for name, tensor in inputs.items()}
        super().__init__(
            endpoint,
            {name: _onnx_spec(name, tensor) for name, tensor in inputs.items()},
            {tensor.name: _onnx_spec(tensor.name, tensor) for tensor in session.get_outputs()},
        )

    def _run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        feeds = {self._written[name]: _as_text(array) for name, array in inputs.items()}
        return dict(zip(self.outputs, self._session.run(list(self.outputs), feeds), strict=True))


def _as_text(array: NDArray[Any]) -> NDArray[Any]:
    """Return strings as onnxruntime takes them, which would make the text `b'a'` of the bytes."""
    if array.dtype != object:
        return array
    decoded = np.empty(array.shape, object)
    decoded.ravel()[:] = [encode(text).decode("utf-8", "replace") for text in array.flat]
    return decoded


def _open_onnx(path: Path, threads: int | None) -> dict[str, Runner]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0  # 0: as many as there are cores
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    endpoint = metadata.get(ENDPOINT_KEY, DEFAULT_ENDPOINT)
    return {endpoint: _OnnxRunner(endpoint, session, json.loads(metadata.get(INPUTS_KEY, "{}")))}


def _onnx_spec(name: str, tensor: Any) -> Spec:
    word = tensor.type.removeprefix("tensor(").removesuffix(")")
    dtype = {"float": "float32", "double": "float64"}.get(word, word)
    axes = zip(tensor.shape, Spec.named(name, [None] * len(tensor.shape), dtype).shape, strict=True)
    return Spec(tuple(size or fallback for size, fallback in axes), dtype)
