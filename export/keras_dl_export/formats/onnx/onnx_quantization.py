"""Quantize an ONNX model to float16 or to calibrated int8."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from keras_dl_export.quantization import Row


def quantize_onnx(model: Any, quantize: str, rows: Iterable[Row]) -> Any:
    """Return an ONNX model with quantized weights; inputs and outputs keep their dtypes."""
    if quantize == "float16":
        return convert_float_to_float16(model, keep_io_types=True)

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._rows = iter(rows)

        def get_next(self) -> Any:
            return next(self._rows, None)

    with tempfile.TemporaryDirectory(prefix="keras-dl-") as folder:
        given, inferred, quantized = (
            Path(folder, f"{name}.onnx") for name in ("given", "inferred", "quantized")
        )
        onnx.save(model, given)
        quant_pre_process(given, inferred, skip_symbolic_shape=True)  # symbolic shape inference needs sympy
        quantize_static(
            inferred,
            quantized,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        small = _with_small_recurrent_weights(onnx.load(quantized))
    del small.graph.value_info[:]
    _shorten(small.graph, {value.name for value in (*small.graph.input, *small.graph.output)}, {"": ""})
    return small


def _with_small_recurrent_weights(model: Any) -> Any:
    """Store the weights of recurrent layers, which the quantizer skips, in 8 bits per channel, too.

    A Cast and a Mul dequantize them before their node. onnxruntime folds these when it loads the file, so the
    node is as fast as in float32; it would run a DequantizeLinear at every call.
    """
    for graph, name, channels in list(_recurrent_weights(model.graph)):
        kept = next((tensor for tensor in graph.initializer if tensor.name == name), None)
        if kept is None or kept.data_type != onnx.TensorProto.FLOAT:
            continue  # already stored in 8 bits, or computed
        weights = onnx.numpy_helper.to_array(kept)
        scale = np.maximum(np.abs(weights).max(axis=channels, keepdims=True) / 127, 1e-30).astype(np.float32)
        graph.initializer.remove(kept)
        integers = np.round(weights / scale).astype(np.int8)
        for suffix, array in (("_int8", integers), ("_scale", scale)):
            graph.initializer.append(onnx.numpy_helper.from_array(array, name + suffix))
        cast = onnx.helper.make_node("Cast", [f"{name}_int8"], [f"{name}_cast"], to=onnx.TensorProto.FLOAT)
        scaled = onnx.helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name])
        graph.node.insert(0, scaled)
        graph.node.insert(0, cast)
    return model


def _recurrent_weights(graph: Any, outer: Sequence[Any] = ()) -> Iterator[tuple[Any, str, int]]:
    """Yield the graph of a weight, its name, and the axis over which its channels extend."""
    scopes = [graph, *outer]
    for node in graph.node:
        found: list[tuple[str, int]] = []
        if node.op_type in ("LSTM", "GRU", "RNN"):
            found = [(name, 2) for name in node.input[1:3]]  # (directions, gates and units, features)
        elif node.op_type == "Loop":  # over time; it passes the weights from step to step
            found = [(name, 0) for name in node.input[2:]]
        elif node.op_type in ("MatMul", "Gemm") and outer:
            found = [(node.input[1], 0)]
        for name, axis in found:
            for scope in scopes:
                if any(tensor.name == name and _is_matrix(tensor) for tensor in scope.initializer):
                    yield scope, name, axis
                    break
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _recurrent_weights(inner, scopes)


def _is_matrix(tensor: Any) -> bool:
    """Return whether a tensor is a weight, not a bias or initial state, for which int8 does not pay."""
    return len(tensor.dims) > 1 and min(tensor.dims[-2:]) > 2


def _shorten(graph: Any, kept: set[str], names: dict[str, str]) -> None:
    """Replace the inner tensors' names by numbers: the quantizer's long names are a tenth of a small file.

    Nodes keep their names, which contain the layer, except those that the quantizer added.
    """

    def short(name: str) -> str:
        return name if name in kept else names.setdefault(name, f"_{len(names)}")

    for value in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
        value.name = short(value.name)
    for node in graph.node:
        node.input[:] = map(short, node.input)
        node.output[:] = map(short, node.output)
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.name = ""
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _shorten(inner, kept, names)
