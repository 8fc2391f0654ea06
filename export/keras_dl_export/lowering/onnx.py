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


def _expm1(graph: Any, node: Any, name: str, args: Any) -> None:
    """expm1(x) = exp(x) - 1; what Keras's celu is made of."""
    shapes, dtypes, outputs, one = node.output_shapes, node.output_dtypes, node.output, _one(graph, node)
    exponential = graph.make_node("Exp", node.input)
    graph.remove_node(name)
    graph.make_node("Sub", [exponential.output[0], one], outputs=outputs, shapes=shapes, dtypes=dtypes)


def _log1p(graph: Any, node: Any, name: str, args: Any) -> None:
    shapes, dtypes, outputs, one = node.output_shapes, node.output_dtypes, node.output, _one(graph, node)
    total = graph.make_node("Add", [node.input[0], one])
    graph.remove_node(name)
    graph.make_node("Log", total.output, outputs=outputs, shapes=shapes, dtypes=dtypes)


def _bucketize(graph: Any, node: Any, name: str, args: Any) -> None:
    """The number of boundaries up to x; what Keras's Discretization is made of."""
    from onnx import TensorProto

    shapes, dtypes, outputs = node.output_shapes, node.output_dtypes, node.output
    dtype = graph.get_dtype(node.input[0])
    boundaries = np.asarray(node.get_attr_value("boundaries"), np.float32)
    last = graph.make_const(f"{name}_last", np.array([-1], np.int64)).output[0]
    values = graph.make_node("Cast", node.input, attr={"to": TensorProto.FLOAT}).output[0]
    if dtype == TensorProto.FLOAT:
        values = node.input[0]
    against = graph.make_const(f"{name}_boundaries", boundaries).output[0]
    column = graph.make_node("Unsqueeze", [values, last]).output[0]
    below = graph.make_node("Less", [column, against]).output[0]
    reached = graph.make_node("Not", [below]).output
    ones = graph.make_node("Cast", reached, attr={"to": TensorProto.INT32}).output[0]
    graph.remove_node(name)
    graph.make_node(
        "ReduceSum",
        [ones, last],
        attr={"keepdims": 0},
        outputs=outputs,
        name=name,
        shapes=shapes,
        dtypes=dtypes,
    )


def _resize_area(graph: Any, node: Any, name: str, args: Any) -> None:
    """Left unmapped; tf2onnx would interpolate, which gives other numbers."""


def _one(graph: Any, node: Any) -> str:
    from onnx import helper

    dtype = helper.tensor_dtype_to_np_dtype(node.output_dtypes[0])
    output: str = graph.make_const(f"{node.name}_one", np.ones((), dtype)).output[0]
    return output


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
    "Bucketize": (_bucketize, []),
    "Erfc": (_erfc, []),
    "Expm1": (_expm1, []),
    "Log1p": (_log1p, []),
    "ResizeArea": (_resize_area, []),
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
