"""Analyze in the graph of a traced endpoint how each of its inputs is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from keras_dl_export.names import in_graph
from keras_dl_export.samples.sample_kinds import window_sizes
from keras_dl_export.samples.usage import Insight, Usage

# The arguments (by position; None for all) that determine the size of an output or the steps of a loop.
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
# The index argument of a lookup, and operators that clip an integer to a range before it.
_LOOKING_UP = {"Gather": 1, "GatherNd": 1, "GatherV2": 1, "ResourceGather": 1, "ResourceGatherNd": 1}
_BOUNDING = {"ClipByValue", "FloorMod", "Maximum", "Minimum", "Mod"}
# Their outputs depend only on the shape of a tensor.
_BLIND = {"OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike"}
# One infinity among their summands makes the sum meaningless, and runtimes differ in the result; the sine of
# 1e30 is the sine of a rounding error.
MIXING = {
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
    *(
        "LogSoftmax",
        "MatMul",
        "Max",
        "MaxPool",
        "MaxPool3D",
        "Mean",
        "Min",
        "Prod",
        "Softmax",
        "Sum",
        "TopKV2",
    ),
    *("HSVToRGB", "RGBToHSV", "ResizeArea", "ResizeBicubic", "ResizeBilinear", "ScaleAndTranslate"),
    *("StatelessWhile", "While", "StatefulPartitionedCall", "Cos", "Sin", "Tan"),
    *("PartitionedCall", "If", "StatelessIf"),
}
_TESTS = {"IsFinite", "IsInf", "IsNan"}
# All runtimes agree on their result for NaN, and the result is not NaN, or is selected explicitly.
_COMPARISONS = {
    *("Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual", "Select", "SelectV2"),
    *_TESTS,
}
_CHOICES = {"Select", "SelectV2"}
# They may or may not propagate NaN, depending on operand order: TensorFlow's own kernels differ.
_PASSING_OVER = {
    *("ArgMax", "ArgMin", "Max", "MaxPool", "MaxPool3D", "Maximum", "Min", "Minimum", "Relu", "Relu6"),
    *("LeakyRelu", "Elu", "Selu", "Sigmoid", "Softmax", "Softplus", "Tanh", "TopKV2", "ClipByValue"),
}
_LONGEST_CONSTANT = 16
_MANY_OPERATIONS = 1000


def look_into(function: Any, inputs: Iterable[str], layers: Iterable[Any] = ()) -> Insight:
    """Follow every input of a traced function through its graph.

    Args:
        function: a TensorFlow ConcreteFunction of keyword arguments, the inputs' `names.in_graph`.
        inputs: the endpoint's names of the inputs.
        layers: the layers of the model.
    """
    operations = function.graph.get_operations()
    named = zip(sorted(function.structured_outputs), function.graph.outputs, strict=False)
    outputs = {tensor.name: name for name, tensor in named}
    words = {name: word for word, name in in_graph(inputs).items()}
    return Insight(
        {
            words[name]: Usage(
                _sizes(tensor, operations),
                _looks_up(tensor, operations),
                _outputs_of(tensor, operations, outputs, _TESTS, MIXING, untested=True),
                _outputs_of(
                    tensor, operations, outputs, _COMPARISONS, MIXING | _PASSING_OVER, untested=False
                ),
            )
            for name, tensor in _arguments(function)
        },
        _integer_constants(operations),
        window_sizes(layers),
        len(operations) > _MANY_OPERATIONS,
    )


def _integer_constants(operations: Iterable[Any]) -> list[int]:
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
    """Return whether integers of this tensor determine the size of another."""
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


def _outputs_of(
    tensor: Any,
    operations: Iterable[Any],
    outputs: Mapping[str, str],
    tests: set[str],
    stops: set[str],
    *,
    untested: bool,
) -> frozenset[str]:
    """Return the outputs that non-finite values in a tensor reach with a result that runtimes must agree on.

    Args:
        tensor: the input.
        operations: the operations of its graph, in order.
        outputs: the endpoint's names of the graph's outputs.
        tests: operators that turn the values into numbers; all outputs after them count.
        stops: operators after which nothing can be compared, unless the values were replaced before.
        untested: whether an output counts that the values reach without a test.
    """
    if not tensor.dtype.is_floating:
        return frozenset()
    reached: set[str] = {tensor.name}
    tested: set[str] = set()
    spoiled: set[str] = set()
    for operation in operations:
        names = {each.name for each in operation.inputs}
        made = {each.name for each in operation.outputs}
        if operation.type in _BLIND or not names & (reached | tested | spoiled):
            continue
        raw = bool(names & reached)
        if names & spoiled or (raw and operation.type in stops):
            spoiled |= made
            continue
        if names & tested or (raw and operation.type in tests):
            tested |= made
        casts = operation.type == "Cast" and not operation.outputs[0].dtype.is_floating
        chooses = operation.type in _CHOICES and names & tested  # replaces values that failed the test
        if raw and not casts and not chooses:
            reached |= made
    kept = tested | (reached if untested else set())
    return frozenset(word for name, word in outputs.items() if name in kept)
