"""What a traced endpoint does with each of its inputs: it decides which values are worth trying there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_dl_export.names import in_graph
from keras_dl_export.sample_kinds import window_sizes

# The arguments (by position; None for all) by which an operator sizes its output, or a loop its steps.
_SIZING: dict[str, tuple[int, ...] | None] = {
    "Bincount": (1,),
    "BroadcastTo": (1,),
    "Case": None,
    "DenseBincount": (1,),
    "Empty": None,
    "Fill": (0,),
    "If": None,
    "LinSpace": (2,),
    "MirrorPad": (1,),
    "OneHot": (1,),
    "Pad": (1,),
    "PadV2": (1,),
    "PartitionedCall": None,
    "RaggedRange": None,
    "Range": None,
    "Reshape": (1,),
    "ResizeBicubic": (1,),
    "ResizeBilinear": (1,),
    "ResizeNearestNeighbor": (1,),
    "ScatterNd": (2,),
    "StatefulPartitionedCall": None,
    "StatelessIf": None,
    "StatelessWhile": None,
    "TensorListReserve": None,
    "Tile": (1,),
    "UnsortedSegmentSum": (2,),
    "While": None,
}
# The argument by which an operator looks something up, and what brings any integer into a range before.
_LOOKING_UP = {"Gather": 1, "GatherNd": 1, "GatherV2": 1, "ResourceGather": 1, "ResourceGatherNd": 1}
_BOUNDING = {"ClipByValue", "FloorMod", "Maximum", "Minimum", "Mod"}
# They tell the size of a tensor, whatever it holds.
_BLIND = {"OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike"}
# One infinity among what they sum spoils the whole sum, and runtimes differ in what they make of it.
_MIXING = {
    *(
        "AvgPool",
        "AvgPool3D",
        "BatchMatMul",
        "BatchMatMulV2",
        "BatchMatMulV3",
        "Conv2D",
        "Conv2DBackpropInput",
    ),
    *("Conv3D", "Conv3DBackpropInputV2", "Cumsum", "DepthwiseConv2dNative", "Einsum", "FusedBatchNormV3"),
    *("LogSoftmax", "MatMul", "MaxPool", "MaxPool3D", "Mean", "Prod", "Softmax", "Sum", "TopKV2"),
    *("ResizeBilinear", "ResizeBicubic", "StatelessWhile", "While", "StatefulPartitionedCall"),
    *("PartitionedCall", "If", "StatelessIf"),
}
_TESTS = {"IsFinite", "IsInf", "IsNan"}
# They give the same answer to a NaN everywhere, and what comes out is no NaN, or is chosen with care.
_COMPARISONS = {
    *("Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual", "Select", "SelectV2"),
    *_TESTS,
}
# They may pass over a NaN or not, as the order of their operands has it: TensorFlow's own kernels differ.
_PASSING_OVER = {
    *("ArgMax", "ArgMin", "Max", "MaxPool", "MaxPool3D", "Maximum", "Min", "Minimum", "Relu", "Relu6"),
    *("LeakyRelu", "Elu", "Selu", "Sigmoid", "Softmax", "Softplus", "Tanh", "TopKV2", "ClipByValue"),
}
_LONGEST_CONSTANT = 16
_MANY_OPERATIONS = 1000


@dataclass(frozen=True)
class Usage:
    """What becomes of one input.

    Attributes:
        sizes: whether its values decide on how large a tensor is, or how often a loop runs.
        looks_up: whether its values are indices, of an embedding for example, as they come.
        keeps_infinities: whether infinities in it reach an output, or are tested for, before they are summed.
        compares_nan: whether a NaN in it is compared with something before anything else becomes of it.
    """

    sizes: bool = False
    looks_up: bool = False
    keeps_infinities: bool = False
    compares_nan: bool = False


@dataclass(frozen=True)
class Insight:
    """What a traced endpoint tells before it is asked.

    Attributes:
        inputs: what becomes of each input.
        constants: the integers in its graph, without their signs: limits, divisors and the like.
        windows: height and width of its layers' crops and windows; see `sample_kinds.window_sizes`.
        large: whether it has so many operations that tracing it for another size takes long.
    """

    inputs: Mapping[str, Usage]
    constants: Sequence[int] = ()
    windows: Sequence[tuple[int, int]] = ()
    large: bool = False


def look_into(function: Any, inputs: Iterable[str], layers: Iterable[Any] = ()) -> Insight:
    """Follow every input of a traced function through its graph.

    Args:
        function: a TensorFlow ConcreteFunction of keyword arguments, the inputs' `names.in_graph`.
        inputs: what the endpoint calls them.
        layers: of the model that it belongs to.
    """
    operations = function.graph.get_operations()
    outputs = {tensor.name for tensor in function.graph.outputs}
    words = {name: word for word, name in in_graph(inputs).items()}
    return Insight(
        {
            words[name]: Usage(
                _sizes(tensor, operations),
                _looks_up(tensor, operations),
                _keeps_infinities(tensor, operations, outputs),
                _compares_nan(tensor, operations),
            )
            for name, tensor in _arguments(function)
        },
        _integer_constants(operations),
        window_sizes(layers),
        len(operations) > _MANY_OPERATIONS,
    )


def _integer_constants(operations: Iterable[Any]) -> list[int]:
    import tensorflow as tf

    found: set[int] = set()
    for operation in operations:
        if operation.type == "Const" and operation.outputs[0].dtype.is_integer:
            proto = operation.get_attr("value")
            values = tf.make_ndarray(proto).ravel()
            if values.size <= _LONGEST_CONSTANT:
                found.update(abs(int(value)) for value in values)
    return sorted(found)


def _arguments(function: Any) -> Iterator[tuple[str, Any]]:
    named: Mapping[str, Any] = function.structured_input_signature[1]
    yield from zip(sorted(named), function.graph.inputs, strict=False)  # captured tensors come after them


def _sizes(tensor: Any, operations: Iterable[Any]) -> bool:
    """Tell whether integers of this tensor size another."""
    if not tensor.dtype.is_integer:
        return False
    reached = {tensor.name}
    for operation in operations:
        places = [place for place, each in enumerate(operation.inputs) if each.name in reached]
        if not places or operation.type in _BLIND:
            continue
        if operation.type in _SIZING:
            sizing = _SIZING[operation.type]
            if sizing is None or set(sizing) & set(places):
                return True
        reached.update(each.name for each in operation.outputs if each.dtype.is_integer)
    return False


def _looks_up(tensor: Any, operations: Iterable[Any]) -> bool:
    if not tensor.dtype.is_integer:
        return False
    reached = {tensor.name}
    for operation in operations:
        places = [place for place, each in enumerate(operation.inputs) if each.name in reached]
        if not places or operation.type in _BLIND | _BOUNDING:
            continue
        if _LOOKING_UP.get(operation.type) in places:
            return True
        reached.update(each.name for each in operation.outputs if each.dtype.is_integer)
    return False


def _keeps_infinities(tensor: Any, operations: Iterable[Any], outputs: set[str]) -> bool:
    if not tensor.dtype.is_floating:
        return False
    reached = {tensor.name}
    for operation in operations:
        if not any(each.name in reached for each in operation.inputs):
            continue
        if operation.type in _TESTS:
            return True
        casts = operation.type == "Cast" and not operation.outputs[0].dtype.is_floating
        if operation.type in _BLIND | _MIXING or casts:
            continue
        reached.update(each.name for each in operation.outputs)
    return bool(reached & outputs)


def _compares_nan(tensor: Any, operations: Iterable[Any]) -> bool:
    if not tensor.dtype.is_floating:
        return False
    reached, compared = {tensor.name}, False
    for operation in operations:
        if not any(each.name in reached for each in operation.inputs):
            continue
        if operation.type in _COMPARISONS:
            compared = True
        elif operation.type in _PASSING_OVER:
            return False
        elif operation.type not in _BLIND | _MIXING:
            reached.update(each.name for each in operation.outputs)
    return compared
