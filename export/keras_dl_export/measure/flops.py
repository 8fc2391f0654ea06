"""The number of floating-point operations of one call of an endpoint.

TensorFlow's profiler sums over the nodes of one graph. It counts the bodies of loops and functions, which
contain all the work of recurrent layers, once or not at all. Here the endpoint's graph is run node by node on
example inputs, through every iteration of every loop, and each node that depends on the inputs is counted by
its shapes. Nodes that depend only on weights are not counted: runtimes compute them once.

Conventions: a multiply-add is 2. Convolutions include the taps on the padding. A function of one number, such
as tanh, is 1; softmax is 5 per number (maximum, difference, exponential, sum, quotient); batch normalization
is 2, with its statistics folded into scale and offset. Pooling and reductions are 1 per number read, a
bilinear resize 8 per number written. Comparisons, integers, and operators that only move numbers are free.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.python.eager.context import context
from tensorflow.python.eager.execute import execute
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from keras_dl_export.names import in_graph
from keras_dl_export.results import Flops

if TYPE_CHECKING:
    from keras_dl_export.tracing import Signature


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_A_NUMBER_WRITTEN = {
    **dict.fromkeys(
        _words("""
            Abs Acos Acosh Add AddV2 Asin Asinh Atan Atan2 Atanh BiasAdd Ceil Cos Cosh Digamma Div DivNoNan
            Elu Erf Erfc Erfinv Exp Expm1 Floor FloorDiv FloorMod Inv LeakyRelu Lgamma Log Log1p Maximum
            Minimum Mod Mul MulNoNan Ndtri Neg Pow RealDiv Reciprocal Relu Relu6 Rint Round Rsqrt Selu
            Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Square Sub Tan Tanh Xdivy Xlogy
        """),
        1,
    ),
    **dict.fromkeys(
        _words("ClipByValue FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 SquaredDifference"), 2
    ),
    **dict.fromkeys(_words("LogSoftmax Softmax"), 5),
    "ResizeBilinear": 8,  # four products, three sums and the weights
}
_A_NUMBER_READ = _words("Cumprod Cumsum EuclideanNorm Max Mean Min Prod Sum")
_OF_THE_SHAPE = _words("OnesLike Rank Shape ShapeN Size ZerosLike")
_POOLING = _words("AvgPool AvgPool3D MaxPool MaxPool3D")
_FREE = _words("""
    BatchToSpaceND BroadcastTo Bitcast Cast Complex Concat ConcatV2 Const DepthToSpace EnsureShape
    ExpandDims Fill Gather GatherNd GatherV2 Identity IdentityN Imag MatrixBandPart MatrixDiagV3 MirrorPad
    OneHot OnesLike Pack Pad PadV2 PreventGradient Range ReadVariableOp Real Reshape ResizeNearestNeighbor
    ResourceGather Reverse ReverseV2 Roll ScatterNd Select SelectV2 Slice Snapshot SpaceToBatchND
    SpaceToDepth Split SplitV Squeeze StopGradient StridedSlice TensorListConcatV2 TensorListGather
    TensorListGetItem TensorListStack TensorScatterUpdate Tile TopKV2 Transpose Unpack ZerosLike
""")

_Value = tuple[Any, bool]  # a tensor and whether it depends on the endpoint's inputs


def count_flops(signature: Signature) -> Flops:
    """Count the operations of one call of an endpoint at batch 1 (unless its batch is fixed).

    Args:
        signature: the endpoint, traced with Keras's own loops.
    """
    meter = _Meter()
    sample = signature.samples[0]
    meter.run(signature.function, sample.inputs)
    return Flops(
        sum(meter.flops.values()),
        dict(sample.sizes),
        dict(meter.flops.most_common()),
        tuple(sorted(meter.uncounted)),
    )


class _Meter:
    """An interpreter that runs graphs node by node and sums the operations."""

    def __init__(self) -> None:
        self.flops: Counter[str] = Counter()
        self.uncounted: set[str] = set()
        self._bodies: dict[str, Any] = {}  # function name -> graph, of loops and branches
        self._orders: dict[int, list[_Node]] = {}  # graph -> nodes in a valid order

    def run(self, function: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs of a ConcreteFunction for named inputs."""
        graph = function.graph
        captured = list(function.captured_inputs)
        placeholders = function.inputs[: len(function.inputs) - len(captured)]
        words = {name: word for word, name in in_graph(inputs).items()}
        names = [words[tensor.op.get_attr("_user_specified_name").decode()] for tensor in placeholders]
        given = [
            (tf.constant(inputs[name], tensor.dtype), True)
            for name, tensor in zip(names, placeholders, strict=True)
        ]
        outputs = function.structured_outputs
        values = self._graph(graph, [*given, *((tensor, False) for tensor in captured)], outputs.values())
        return {name: tensor for name, (tensor, _) in zip(outputs, values, strict=True)}

    def _graph(self, graph: Any, given: Sequence[_Value], wanted: Iterable[Any]) -> list[_Value]:
        wanted = list(wanted)
        known = {id(tensor): value for tensor, value in zip(graph.inputs, given, strict=True)}
        nodes = self._orders.get(id(graph))
        if nodes is None:
            for_values = set(_needed(wanted, known, stop_at=_OF_THE_SHAPE))
            nodes = [_Node(each, each in for_values) for each in _needed(wanted, known)]
            self._orders[id(graph)] = nodes
        for node in nodes:
            inputs = [known[key] for key in node.inputs]
            outputs = self._node(
                node, inputs if node.for_values else [(tensor, False) for tensor, _ in inputs]
            )
            known.update(zip(node.outputs, outputs, strict=True))
        return [known[id(tensor)] for tensor in wanted]

    def _node(self, node: _Node, inputs: list[_Value]) -> list[_Value]:
        operation, kind = node.operation, node.operation.type.removeprefix("Stateless")
        if kind in ("PartitionedCall", "StatefulPartitionedCall"):
            return self._call(operation, "f", inputs)
        if kind == "While":
            return self._loop(operation, inputs)
        if kind == "If":
            condition, *inputs = inputs
            return self._call(operation, "then_branch" if bool(condition[0]) else "else_branch", inputs)
        if kind == "Case":
            (index, _), *inputs = inputs
            branches = operation.get_attr("branches")
            chosen = int(index) if 0 <= int(index) < len(branches) else len(branches) - 1
            return self._body(operation, branches[chosen], inputs)
        tensors = [tensor for tensor, _ in inputs]
        outputs = node.execute(tensors)
        depends = any(depends for _, depends in inputs)
        if depends:
            self._count(operation, tensors, outputs)
        return [(tensor, depends) for tensor in outputs]

    def _loop(self, operation: Any, inputs: list[_Value]) -> list[_Value]:
        while bool(self._call(operation, "cond", inputs)[0][0]):
            before = self.flops.copy()
            outputs = self._call(operation, "body", inputs)
            depends = [was or now for (_, was), (_, now) in zip(inputs, outputs, strict=True)]
            if depends == [was for _, was in inputs]:
                inputs = outputs
            else:  # A state starts as constant zeros: count its first iteration like the others.
                self.flops = before
            inputs = [(tensor, depend) for (tensor, _), depend in zip(inputs, depends, strict=True)]
        return inputs

    def _call(self, operation: Any, attribute: str, inputs: Sequence[_Value]) -> list[_Value]:
        return self._body(operation, operation.get_attr(attribute), inputs)

    def _body(self, operation: Any, function: Any, inputs: Sequence[_Value]) -> list[_Value]:
        graph = self._bodies.get(function.name)
        if graph is None:
            graph = self._bodies[function.name] = _function_graph(operation.graph, function.name)
        return self._graph(graph, inputs, graph.outputs)

    def _count(self, operation: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        kind = operation.type
        if not any(tensor.dtype.is_floating or tensor.dtype.is_complex for tensor in outputs):
            return
        if cost := _COSTS.get(kind):
            self.flops[kind] += cost(operation, inputs, outputs)
        elif kind in _A_NUMBER_WRITTEN:
            self.flops[kind] += _A_NUMBER_WRITTEN[kind] * math.prod(outputs[0].shape)
        elif kind in _A_NUMBER_READ:
            self.flops[kind] += math.prod(inputs[0].shape)
        elif kind not in _FREE:
            self.uncounted.add(kind)


class _Node:
    """An operation of a graph that can be executed repeatedly on eager tensors.

    Attributes:
        operation: the operation.
        inputs: the ids of the graph's input tensors.
        outputs: the ids of the graph's output tensors.
        for_values: whether its values are needed, not only a shape. Keras runs a first step of a masked layer
            to get the shape of the initial zeros.
    """

    def __init__(self, operation: Any, for_values: bool) -> None:
        self.operation = operation
        self.for_values = for_values
        self.inputs = [id(tensor) for tensor in operation.inputs]
        self.outputs = [id(tensor) for tensor in operation.outputs]

    def execute(self, tensors: Sequence[Any]) -> list[Any]:
        """Return the outputs for these inputs."""
        if self.operation.type == "Const":
            return [self._constant]

        kind = self.operation.type.encode()
        return list(execute(kind, len(self.outputs), list(tensors), self._attributes, context()))

    @functools.cached_property
    def _attributes(self) -> tuple[Any, ...]:
        names = [attribute.name for attribute in self.operation.op_def.attr]
        return tuple(item for name in names for item in (name, self.operation.get_attr(name)))

    @functools.cached_property
    def _constant(self) -> Any:
        return tf.constant(tf.make_ndarray(self.operation.get_attr("value")))


def _needed(wanted: Iterable[Any], known: Container[int], stop_at: Container[str] = frozenset()) -> list[Any]:
    """Return the operations on which `wanted` depends, in topological order.

    Args:
        wanted: tensors of one graph.
        known: the ids of the tensors that are already available.
        stop_at: types of operations whose inputs are not needed.
    """
    order: dict[Any, None] = {}
    stack = [tensor.op for tensor in wanted if id(tensor) not in known]
    while stack:
        operation = stack[-1]
        read = () if operation.type in stop_at else operation.inputs
        missing = [tensor.op for tensor in read if id(tensor) not in known and tensor.op not in order]
        if missing:
            stack.extend(missing)
        else:
            order.setdefault(stack.pop())
    return list(order)


def _function_graph(graph: Any, name: str) -> Any:
    library = graph.as_graph_def().library.function
    with graph.as_default():
        return function_def_to_graph(next(each for each in library if each.signature.name == name))


def _size(shape: Iterable[int]) -> int:
    return int(math.prod(shape))


def _product(operation: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count a matrix product: it sums over the columns of the left factor, or over its rows if transposed."""
    transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    return 2 * _size(outputs[0].shape) * int(inputs[0].shape[-2 if transposed else -1])


def _einsum(operation: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count an einsum: every label is a loop; a single factor is a sum, or only moved."""
    terms = operation.get_attr("equation").decode().partition("->")[0].split(",")
    if any("." in term for term in terms):  # the axes of an ellipsis are in the result; then come the sums
        named = {label for term in terms for label in term if label.isalpha()}
        result = operation.get_attr("equation").decode().partition("->")[2]
        sizes = {
            label: size
            for term, tensor in zip(terms, inputs, strict=True)
            for label, size in _ends(term, tensor.shape).items()
        }
        loops = _size(outputs[0].shape) * _size(sizes[label] for label in named - set(result))
    else:
        loops = _size(
            {
                label: size
                for term, tensor in zip(terms, inputs, strict=True)
                for label, size in zip(term, tensor.shape, strict=True)
            }.values()
        )
    if len(terms) > 1:
        return 2 * loops
    return loops if loops > _size(outputs[0].shape) else 0


def _ends(term: str, shape: Sequence[int]) -> dict[str, int]:
    """Return the sizes of the labels before and after an ellipsis."""
    before, _, after = term.partition("...")
    return dict(zip(before, shape, strict=False)) | dict(zip(after[::-1], shape[::-1], strict=False))


def _convolution(operation: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count a convolution: each output is a sum over the kernel and the channels of its group."""
    return 2 * _size(outputs[0].shape) * _size(inputs[1].shape[:-1])


def _depthwise(operation: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    return 2 * _size(outputs[0].shape) * _size(inputs[1].shape[:2])


def _transposed_convolution(operation: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count a transposed convolution: each input is spread over the kernel and the output channels."""
    return 2 * _size(inputs[2].shape) * _size(inputs[1].shape[:-1])


def _pooling(operation: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    return _size(outputs[0].shape) * _size(operation.get_attr("ksize"))


_COSTS: dict[str, Callable[[Any, Sequence[Any], Sequence[Any]], int]] = {
    "BatchMatMul": _product,
    "BatchMatMulV2": _product,
    "BatchMatMulV3": _product,
    "Conv2D": _convolution,
    "Conv2DBackpropInput": _transposed_convolution,
    "Conv3D": _convolution,
    "Conv3DBackpropInputV2": _transposed_convolution,
    "DepthwiseConv2dNative": _depthwise,
    "Einsum": _einsum,
    "MatMul": _product,
    **dict.fromkeys(_POOLING, _pooling),
}
