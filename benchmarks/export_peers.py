"""The peers of the export benchmark: a handwritten graph, Keras's export and the bare converters."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper


def keras_onnx(model: Any, path: Path) -> None:
    """Write the ONNX file of Keras's export."""
    model.export(str(path), format="onnx", verbose=False)


def native_gru(layer: Any, time: int, features: int, path: Path) -> None:
    """Write a `keras.layers.GRU` as three nodes: Transpose, GRU, Squeeze."""
    units = layer.units
    kernel, recurrent_kernel, bias = layer.get_weights()  # z, r, h concatenated, ONNX's order
    weights = {
        "W": kernel.T[None],
        "R": recurrent_kernel.T[None],
        "B": bias.reshape(1, -1),
        "axes": np.array([0]),
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["steps"], perm=[1, 0, 2]),
        helper.make_node(
            "GRU", ["steps", "W", "R", "B"], ["", "last"], hidden_size=units, linear_before_reset=1
        ),
        helper.make_node("Squeeze", ["last", "axes"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "gru",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", time, features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", units])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def keras_loop(model: Any, path: Path, batch: int | None) -> None:
    """Write a TFLite file with the loop that Keras traces, of builtin operators only.

    The loop uses lists of tensors, which have no builtin operator if the batch is dynamic. A converter option
    solves this: it assumes a batch of one for these lists only.

    Args:
        model: a model with one input.
        path: the file to write.
        batch: the batch size, or None for a dynamic batch.
    """
    (given,) = model.inputs
    spec = tf.TensorSpec((batch, *given.shape[1:]), given.dtype, name="x")
    module = tf.Module()
    module.variables_used = [variable.value for variable in model.variables]
    function = tf.function(lambda x: {"y": model(x)}, input_signature=[spec], autograph=False)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=function.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter._experimental_default_to_single_batch_in_tensor_list_ops = batch is None
        path.write_bytes(converter.convert())
