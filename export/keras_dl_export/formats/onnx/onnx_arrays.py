"""ONNX forms, for every dtype, of TensorFlow operators that move, count and order values."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf2onnx.onnx_opset.nn import PoolOp

from keras_dl_export.formats.onnx.onnx_nodes import LEFT_AS_IT_IS, Handler, Replacement, replaced_by


def _one_hot(node: Replacement) -> None:
    """Compare with every class: ONNX's OneHot counts negative indices from the end."""
    indices, _, on, off = node.inputs
    shape = node.shape(indices)
    if shape is None:
        return
    axis = int(node.node.get_attr_value("axis", -1))
    axis = len(shape) if axis < 0 else axis
    indices = node.axes("Unsqueeze", node.cast(indices, np.int64), axis)
    depth = node.static(1)
    classes = (
        node.make(
            "Range",
            node.constant(0, np.int64),
            node.cast(node.inputs[1], np.int64),
            node.constant(1, np.int64),
        )
        if depth is None
        else node.constant(np.arange(int(depth)), np.int64)
    )
    if after := len(shape) - axis:
        classes = node.axes("Unsqueeze", classes, *range(1, after + 1))
    found = node.make("Equal", indices, classes)
    values = [node.static(index) for index in (2, 3)]
    if [None if value is None else value.item() for value in values] == [1, 0]:
        return node.finish_cast(found)
    return node.finish("Where", found, on, off)


def _top_k(node: Replacement) -> None:
    """Return the largest values first, equal ones by index; without `sorted` any order is valid."""
    values, count = node.inputs
    many = node.axes("Unsqueeze", node.cast(count, np.int64), 0)
    found, indices = node.make_all("TopK", 2, values, many, axis=-1, largest=1, sorted=1)
    node.finish_all(("Identity", [found], {}), node.cast_node(1, indices))


def _reverse(node: Replacement) -> None:
    """Write a Slice with a step of -1; two equal ones cancel, as between the halves of Bidirectional."""
    axes = node.static(1)
    shape = node.shape(node.inputs[0])
    if axes is None or shape is None:
        return
    axes = axes.reshape(-1).astype(np.int64)
    ones = np.ones_like(axes)
    constants = [-ones, np.iinfo(np.int64).min * ones, axes % len(shape), -ones]
    source = node.node.inputs[0]
    if source.type == "Slice" and len(source.input) == 5 and _are_constants(source.inputs[1:], constants):
        return node.finish("Identity", source.input[0])
    return node.finish("Slice", node.inputs[0], *map(node.constant, constants))


def _are_constants(nodes: Any, values: Any) -> bool:
    return all(
        node.is_const() and np.array_equal(node.get_tensor_value(as_list=False), value)
        for node, value in zip(nodes, values, strict=True)
    )


def _dynamic_update_slice(node: Replacement) -> None:
    """Write a block at a clipped position, as in `keras.ops.slice_update`."""
    array, block, starts = node.inputs
    shape, part = node.shape(array), node.shape(block)
    if shape is None or part is None:
        return
    # An axis that the block fills has one position only; trailing ones are written as a whole.
    free = [
        axis for axis, (whole, size) in enumerate(zip(shape, part, strict=True)) if whole != size or size < 0
    ]
    if not free:
        return node.finish("Identity", block)
    leading = free[-1] + 1
    sizes = node.sizes(block, 0, leading)
    starts = node.make(
        "Slice", node.cast(starts, np.int64), node.constant([0], np.int64), node.constant([leading], np.int64)
    )
    latest = node.make("Sub", node.sizes(array, 0, leading), sizes)
    starts = node.make("Max", node.make("Min", starts, latest), node.constant(0, np.int64))
    zero, one = node.constant(0, np.int64), node.constant(1, np.int64)
    grid = []
    for axis in range(leading):
        size, start = (node.make("Gather", of, node.constant(axis, np.int64)) for of in (sizes, starts))
        places = node.make("Add", node.make("Range", zero, size, one), start)
        if after := leading - 1 - axis:
            places = node.axes("Unsqueeze", places, *range(1, after + 1))
        grid.append(node.axes("Unsqueeze", node.make("Expand", places, sizes), -1))
    return node.finish("ScatterND", array, node.make("Concat", *grid, axis=-1), block)


def _broadcast_args(node: Replacement) -> None:
    """Return the shape to which two shapes broadcast: of two sizes the one that is not 1."""
    lengths = [node.shape(value) for value in node.inputs]
    if any(length is None or length[0] < 0 for length in lengths):
        return
    rank = max(length[0] for length in lengths if length)
    left, right = (
        node.make(
            "Concat", node.constant([1] * (rank - length[0]), np.int64), node.cast(value, np.int64), axis=0
        )
        for value, length in zip(node.inputs, lengths, strict=True)
        if length
    )
    is_one = node.make("Equal", left, node.constant(1, np.int64))
    node.finish_cast(node.make("Where", is_one, right, left))


def _scatter_nd(node: Replacement) -> None:
    """Scatter values; values with the same index are added."""
    indices, values, shape = node.inputs
    if _can_reduce(node, "add"):
        zeros = _filled(node, node.cast(shape, np.int64), 0)
        node.finish("Identity", _reduced_at(node, zeros, indices, values, "add"))


def _scatter(reduction: str) -> Handler:
    def write(node: Replacement) -> None:
        array, indices, values = node.inputs
        if _can_reduce(node, reduction):
            node.finish("Identity", _reduced_at(node, array, indices, values, reduction))

    return replaced_by(write)


def _segments(reduction: str) -> Handler:
    """Reduce rows by segment number; rows with a negative number are ignored."""

    def write(node: Replacement) -> None:
        rows, segments, count = node.inputs
        rank, shape = node.graph.get_rank(segments), node.shape(rows)
        if rank is None or shape is None or not _can_reduce(node, reduction):
            return
        dtype = node.output_dtype
        count = node.axes("Unsqueeze", node.cast(count, np.int64), 0)
        segments = node.cast(segments, np.int64)
        # An additional row collects the ignored rows.
        nowhere = node.make("Less", segments, node.constant(0, np.int64))
        segments = node.axes("Unsqueeze", node.make("Where", nowhere, count, segments), -1)
        rest = [node.sizes(rows, rank, len(shape))] if len(shape) > rank else []
        size = node.make("Concat", node.make("Add", count, node.constant([1], np.int64)), *rest, axis=0)
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        start = {"add": 0, "mul": 1, "max": limits.min, "min": limits.max}[reduction]
        whole = _reduced_at(node, _filled(node, size, start), segments, rows, reduction)
        zero = node.constant([0], np.int64)
        node.finish("Slice", whole, zero, count, zero)

    return replaced_by(write)


def _filled(node: Replacement, size: str, value: Any) -> str:
    return node.make("Expand", node.constant(value, node.output_dtype), size)


def _can_reduce(node: Replacement, reduction: str) -> bool:
    """Return whether ScatterND supports the reduction; if not, the node stays and the error names it."""
    return node.opset >= (18 if reduction in ("min", "max") else 16)


def _reduced_at(node: Replacement, array: str, indices: str, values: str, reduction: str) -> str:
    if reduction == "sub":
        values, reduction = node.make("Neg", values), "add"
    # onnxruntime does not reduce bool, float16 or small integers.
    dtype = node.output_dtype
    exact = np.dtype(np.float32 if dtype == np.float16 else np.int64 if dtype.kind in "iub" else dtype)
    answer = node.make(
        "ScatterND",
        node.cast(array, exact),
        node.cast(indices, np.int64),
        node.cast(values, exact),
        reduction=reduction,
    )
    return node.cast(answer, dtype)


def _pad(node: Replacement) -> None:
    """Pad with constants in the array's dtype: tf2onnx casts integers to float32."""
    array, amounts, *value = node.inputs
    if node.node.type == "MirrorPad" and node.node.get_attr_value("mode") == b"SYMMETRIC":
        return _pad_symmetric(node)
    known = node.static(1)
    pads = (
        node.make(
            "Reshape", node.make("Transpose", node.cast(amounts, np.int64)), node.constant([-1], np.int64)
        )
        if known is None
        else node.constant(known.T.reshape(-1), np.int64)
    )
    if node.node.type == "MirrorPad":
        return node.finish("Pad", array, pads, mode="reflect")
    return node.finish("Pad", array, pads, *(value or [node.constant(0, node.output_dtype)]))


def _pad_symmetric(node: Replacement) -> None:
    """Gather the positions 0, 1 ... n-1, n-1 ... 1, 0, 0, 1 ... along each axis."""
    amounts, shape = node.static(1), node.shape(node.inputs[0])
    if amounts is None or shape is None:
        return
    array = node.inputs[0]
    for axis, (before, after) in enumerate(amounts.tolist()):
        if before or after:
            size = node.axes("Squeeze", node.sizes(array, axis, axis + 1), 0)
            end = node.make("Add", size, node.constant(after, np.int64))
            one = node.constant(1, np.int64)
            places = node.make("Range", node.constant(-before, np.int64), end, one)
            period = node.make("Add", size, size)
            places = node.make("Mod", places, period)
            mirrored = node.make("Sub", node.make("Sub", period, one), places)
            array = node.make("Gather", array, node.make("Min", places, mirrored), axis=axis)
    node.finish("Identity", array)


def _matrix_band_part(node: Replacement) -> None:
    """Select zeros outside the band: tf2onnx multiplies by 0, which turns infinity into NaN."""
    matrix, *counts = node.inputs
    shape = node.shape(matrix)
    if shape is None:
        return
    zero, one = node.constant(0, np.int64), node.constant(1, np.int64)
    rank = len(shape)
    rows, columns = (
        node.make("Range", zero, node.axes("Squeeze", node.sizes(matrix, axis, axis + 1), 0), one)
        for axis in (rank - 2, rank - 1)
    )
    below = node.make("Sub", node.axes("Unsqueeze", rows, 1), columns)  # the number of the diagonal
    lower, upper = (node.cast(count, np.int64) for count in counts)
    conditions = []
    for count, distance in ((lower, below), (upper, node.make("Neg", below))):
        within = node.make("LessOrEqual", distance, count)
        conditions.append(node.make("Or", within, node.make("Less", count, zero)))  # negative: all diagonals
    node.finish("Where", node.make("And", *conditions), matrix, node.constant(0, node.output_dtype))


def _max_pool(graph: Any, node: Any, name: str, args: Any) -> None:
    """Compare large integers as float64: tf2onnx casts them to float32."""
    operator, replaced = node.type, Replacement(graph, node)
    node.type = "MaxPool"
    dtype = replaced.output_dtype
    if dtype.kind in "iu" and dtype.itemsize > 2:
        cast = replaced.cast(node.input[0], np.float64)
        graph.replace_input(node, node.input[0], cast, 0)
        wide = graph.get_dtype(cast)
        narrow, shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
        back = graph.make_node("Cast", [node.output[0]], attr={"to": narrow}, shapes=[shape], dtypes=[narrow])
        graph.insert_node_on_output(back, node.output[0])
        graph.set_dtype(node.output[0], wide)
    PoolOp._convert(graph, node, tf_op=operator)


def _resize_bicubic(node: Replacement) -> None:
    """Resize each channel as a separate image.

    onnxruntime moves a Transpose from before a Resize to after it, where it has no cubic kernel, but not over
    a Reshape. TensorFlow rounds the positions on the curve to 1/1024; ONNX does not.
    """
    images, size = node.inputs
    shape = node.shape(images)
    if shape is None or shape[3] < 0 or not node.node.get_attr_value("half_pixel_centers"):
        return
    channels_first = node.make("Transpose", node.cast(images, np.float32), perm=[0, 3, 1, 2])
    planes = node.make("Reshape", channels_first, node.constant([-1, 1, 0, 0], np.int64))
    sizes = node.make("Concat", node.sizes(planes, 0, 2), node.cast(size, np.int64), axis=0)
    resized = node.make(
        "Resize",
        planes,
        *(node.constant([], np.float32) for _ in range(2)),  # neither a region nor scales
        sizes,
        mode="cubic",
        coordinate_transformation_mode="half_pixel",
        cubic_coeff_a=-0.5,
        exclude_outside=1,
    )
    together = node.make("Reshape", resized, node.constant([-1, shape[3], 0, 0], np.int64))
    node.finish("Transpose", together, perm=[0, 2, 3, 1])


ARRAYS: dict[str, Handler] = {
    "ResizeBicubic": replaced_by(_resize_bicubic),
    **dict.fromkeys(("MaxPool", "MaxPool3D", "MaxPoolV2"), (_max_pool, [])),
    **dict.fromkeys(("MirrorPad", "Pad", "PadV2"), replaced_by(_pad)),
    "BroadcastArgs": replaced_by(_broadcast_args),
    "MatrixBandPart": replaced_by(_matrix_band_part),
    "OneHot": replaced_by(_one_hot),
    "ResizeArea": LEFT_AS_IT_IS,  # tf2onnx would interpolate, which gives different numbers
    "ReverseV2": replaced_by(_reverse),
    "ScatterNd": replaced_by(_scatter_nd),
    "TensorScatterAdd": _scatter("add"),
    "TensorScatterMax": _scatter("max"),
    "TensorScatterMin": _scatter("min"),
    "TensorScatterSub": _scatter("sub"),
    "TopKV2": replaced_by(_top_k),
    "UnsortedSegmentMax": _segments("max"),
    "UnsortedSegmentMin": _segments("min"),
    "UnsortedSegmentProd": _segments("mul"),
    "UnsortedSegmentSum": _segments("add"),
    "XlaDynamicUpdateSlice": replaced_by(_dynamic_update_slice),
}
