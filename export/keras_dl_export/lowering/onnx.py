"""TensorFlow operators that tf2onnx does not know, in ONNX's terms."""

from __future__ import annotations

from typing import Any

import numpy as np


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


OPERATORS: dict[str, Any] = {"Erfc": (_erfc, [])}
