"""TensorFlow operators that tf2onnx does not know, in ONNX's terms."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_dl_export.lowering.onnx_recurrent import RECURRENT_OPERATORS


def _erfc(graph: Any, node: Any, name: str, args: Any) -> None:
    """erfc(x) = 1 - erf(x); what Keras's gelu is made of."""
    from onnx import helper

    shape, dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    one = graph.make_const(f"{name}_one", np.ones((), helper.tensor_dtype_to_np_dtype(dtype)))
    erf = graph.make_node("Erf", node.input)
    graph.remove_node(name)
    graph.make_node(
        "Sub", [one.output[0], erf.output[0]], outputs=node.output, shapes=[shape], dtypes=[dtype]
    )


def _reverse(graph: Any, node: Any, name: str, args: Any) -> None:
    """One Slice with a step of -1; twice the same is nothing, as between the halves of Bidirectional."""
    from tf2onnx import utils

    shapes, dtypes, outputs = node.output_shapes, node.output_dtypes, node.output
    axes = node.inputs[1].get_tensor_value(as_list=False).reshape(-1).astype(np.int64)
    ones = np.ones_like(axes)
    constants = [-ones, np.iinfo(np.int64).min * ones, axes % len(shapes[0]), -ones]
    source = node.inputs[0]
    graph.remove_node(name)
    if source.type == "Slice" and len(source.input) == 5 and _are_constants(source.inputs[1:], constants):
        graph.make_node("Identity", source.input[:1], outputs=outputs, shapes=shapes, dtypes=dtypes)
        return
    inputs = [graph.make_const(utils.make_name(name), value).output[0] for value in constants]
    graph.make_node(
        "Slice", [node.input[0], *inputs], outputs=outputs, name=name, shapes=shapes, dtypes=dtypes
    )


def _where(graph: Any, node: Any, name: str, args: Any) -> None:
    """Where; tf2onnx multiplies by 0 and 1, which lets a NaN of the other branch through."""
    shapes, dtypes, outputs = node.output_shapes, node.output_dtypes, node.output
    graph.remove_node(name)
    graph.make_node("Where", node.input, outputs=outputs, name=name, shapes=shapes, dtypes=dtypes)


def _are_constants(nodes: Any, values: Any) -> bool:
    return all(
        node.is_const() and np.array_equal(node.get_tensor_value(as_list=False), value)
        for node, value in zip(nodes, values, strict=True)
    )


OPERATORS: dict[str, Any] = {
    "Erfc": (_erfc, []),
    "ReverseV2": (_reverse, []),
    "SelectV2": (_where, []),
    **RECURRENT_OPERATORS,
}


@contextlib.contextmanager
def loops_as_they_are() -> Iterator[None]:
    """Keep tf2onnx from taking a loop for an LSTM or a GRU.

    It looks at some of the loop's operators alone: a cell that does one thing more, which only then is a loop
    here, would lose that.
    """
    from tf2onnx import tfonnx

    names = ("rewriter_lstm_tf2", "rewrite_gru_tf2")
    kept = {name: getattr(tfonnx, name) for name in names}
    for name in names:
        setattr(tfonnx, name, lambda graph, operators: operators)
    try:
        yield
    finally:
        for name, rewriter in kept.items():
            setattr(tfonnx, name, rewriter)
