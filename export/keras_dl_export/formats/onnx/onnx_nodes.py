"""A TensorFlow node and the ONNX nodes that replace it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from tf2onnx import utils

Handler = tuple[Callable[[Any, Any, str, Any], None], list[str]]  # a value of tf2onnx's custom_op_handlers


class Replacement:
    """A TensorFlow node to replace.

    Attributes:
        graph, node: tf2onnx's objects.
        inputs: the names of the node's inputs.
        opset: the version of the ONNX operators.
    """

    def __init__(self, graph: Any, node: Any) -> None:
        self.graph, self.node = graph, node
        self.inputs: list[str] = list(node.input)
        self.opset: int = graph.opset
        self._outputs = list(node.output)
        self._shapes, self._dtypes = list(node.output_shapes), list(node.output_dtypes)

    def dtype(self, value: str) -> np.dtype[Any]:
        """Return the NumPy dtype of a value."""
        return helper.tensor_dtype_to_np_dtype(self.graph.get_dtype(value))

    @property
    def output_dtype(self) -> np.dtype[Any]:
        """The dtype of the node's first output."""
        return self.dtype(self._outputs[0])

    def shape(self, value: str) -> list[int] | None:
        """Return the shape of a value with -1 for unknown sizes, or None if the rank is unknown."""
        shape: list[int] | None = self.graph.get_shape(value)
        return shape

    def static(self, index: int) -> NDArray[Any] | None:
        """Return the value of a constant input, or None."""
        source = self.node.inputs[index]
        value: NDArray[Any] | None = source.get_tensor_value(as_list=False) if source.is_const() else None
        return value

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Add a constant and return its name."""
        array = np.asarray(value, dtype)
        name: str = self.graph.make_const(utils.make_name(self.node.name), array).output[0]
        return name

    def make(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return its first output."""
        return self.make_all(operator, 1, *inputs, **attributes)[0]

    def make_all(self, operator: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node and return all its outputs."""
        node = self.graph.make_node(
            operator, list(inputs), attr=attributes, output_count=count, op_name_scope=self.node.name
        )
        return list(node.output)

    def cast(self, value: str, dtype: Any) -> str:
        """Return a value cast to another dtype."""
        if self.dtype(value) == np.dtype(dtype):
            return value
        return self.make("Cast", value, to=_element_type(dtype))

    def sizes(self, value: str, first: int, last: int) -> str:
        """Return the sizes of the axes from `first` up to, but not including, `last` as a vector of int64."""
        shape = self.shape(value)
        if shape is not None and all(size >= 0 for size in shape[first:last]):
            return self.constant(shape[first:last], np.int64)
        whole = self.make("Shape", value)
        return self.make("Slice", whole, self.constant([first], np.int64), self.constant([last], np.int64))

    def axes(self, operator: str, value: str, *axes: int) -> str:
        """Add (`Unsqueeze`) or remove (`Squeeze`) axes of size 1."""
        return self.make(operator, value, self.constant(axes, np.int64))

    def finish(self, operator: str, *inputs: str, **attributes: Any) -> None:
        """Replace the TensorFlow node, which has one output, by a new node."""
        self.finish_all((operator, list(inputs), attributes))

    def finish_cast(self, value: str) -> None:
        """Replace the TensorFlow node by a value cast to the dtype of the output."""
        self.finish("Cast", value, to=self._dtypes[0])

    def finish_all(self, *nodes: tuple[str, Sequence[str], dict[str, Any]]) -> None:
        """Replace the TensorFlow node by one new node for each output."""
        name = self.node.name
        self.graph.remove_node(name)
        for index, (operator, inputs, attributes) in enumerate(nodes):
            self.graph.make_node(
                operator,
                list(inputs),
                attr=attributes,
                outputs=[self._outputs[index]],
                name=name if index == 0 else utils.make_name(name),
                shapes=[self._shapes[index]],
                dtypes=[self._dtypes[index]],
            )

    def cast_node(self, index: int, value: str) -> tuple[str, Sequence[str], dict[str, Any]]:
        """Return an argument of `finish_all`: a value cast to the dtype of output `index`."""
        return "Cast", [value], {"to": self._dtypes[index]}


def replaced_by(write: Callable[[Replacement], None]) -> Handler:
    """Return a handler that replaces a node by the nodes that `write` adds."""

    def handle(graph: Any, node: Any, name: str, args: Any) -> None:
        write(Replacement(graph, node))

    return handle, []


def _left(graph: Any, node: Any, name: str, args: Any) -> None:
    """Keep the node: ONNX has an operator of the same name, otherwise the error names it."""


LEFT_AS_IT_IS: Handler = (_left, [])


def _element_type(dtype: Any) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
