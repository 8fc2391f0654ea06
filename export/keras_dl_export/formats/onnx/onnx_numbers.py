"""ONNX forms, for every dtype, of TensorFlow operators on numbers.

tf2onnx does not support some of them, and others return different numbers: it casts integers to float32,
which is exact only up to 2^24, and truncates the quotient of negative integers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_dl_export.formats.onnx.onnx_nodes import LEFT_AS_IT_IS, Handler, Replacement, replaced_by


def _one(node: Replacement) -> str:
    return node.constant(1, node.output_dtype)


def _erfc(node: Replacement) -> None:
    """Write erfc(x) = 1 - erf(x), which Keras's gelu uses."""
    node.finish("Sub", _one(node), node.make("Erf", node.inputs[0]))


def _expm1(node: Replacement) -> None:
    """Write expm1(x) = exp(x) - 1, which Keras's celu uses."""
    node.finish("Sub", node.make("Exp", node.inputs[0]), _one(node))


def _log1p(node: Replacement) -> None:
    node.finish("Log", node.make("Add", node.inputs[0], _one(node)))


def _is_float(node: Replacement) -> bool:
    return node.dtype(node.inputs[0]).kind == "f"


def _operands(node: Replacement) -> list[str]:
    """Return dividend and divisor, or -x and 1 for x and -1: -2^31 / -1 crashes onnxruntime."""
    dividend, divisor = node.inputs
    known = node.static(1)
    if node.output_dtype.kind != "i" or (known is not None and not (known == -1).any()):
        return [dividend, divisor]
    opposite = node.make("Equal", divisor, node.constant(-1, node.output_dtype))
    turned = node.make("Where", opposite, node.make("Neg", dividend), dividend)
    return [turned, node.make("Where", opposite, _one(node), divisor)]


def _truncate_div(node: Replacement) -> None:
    node.finish("Div", *_operands(node))


def _floor_div(node: Replacement) -> None:
    """Round the quotient down: ONNX's Div of integers rounds toward zero."""
    dividend, divisor = _operands(node)
    if _is_float(node):
        return node.finish("Floor", node.make("Div", dividend, divisor))
    if node.output_dtype.kind == "u":
        return node.finish("Div", dividend, divisor)
    return node.finish("Identity", _floor_quotient(node, dividend, divisor))


def _floor_mod(node: Replacement) -> None:
    """Write the remainder with the sign of the divisor, as Python and Mod of integers, but not fmod."""
    dividend, divisor = node.inputs
    if not _is_float(node):
        return node.finish("Mod", dividend, divisor)
    zero = node.constant(0, node.output_dtype)
    remainder = node.make("Mod", dividend, divisor, fmod=1)
    opposite = node.make("Xor", node.make("Less", remainder, zero), node.make("Less", divisor, zero))
    is_zero = node.make("Equal", remainder, zero)
    moved = node.make("And", opposite, node.make("Not", is_zero))
    return node.finish("Where", moved, node.make("Add", remainder, divisor), remainder)


def _truncate_mod(node: Replacement) -> None:
    node.finish("Mod", *node.inputs, fmod=1)


def _shift(node: Replacement) -> None:
    """Multiply or divide by 2^n: ONNX's BitShift supports only unsigned integers."""
    value, count = node.inputs
    bits = node.output_dtype.itemsize * 8
    in_int64 = node.cast(count, np.int64)
    within = node.make("Clip", in_int64, node.constant(0, np.int64), node.constant(bits - 1, np.int64))
    if node.output_dtype.kind == "u":
        direction = "LEFT" if node.node.type == "LeftShift" else "RIGHT"
        return node.finish("BitShift", value, node.cast(within, node.output_dtype), direction=direction)
    powers = node.constant((np.uint64(1) << np.arange(bits, dtype=np.uint64)).astype(node.output_dtype))
    factor = node.make("Gather", powers, within)
    if node.node.type == "LeftShift":
        return node.finish("Mul", value, factor)
    # 2^(bits - 1) overflows to the lowest number; a shift by bits - 1 leaves only the sign.
    half = node.make("Gather", powers, node.make("Min", within, node.constant(bits - 2, np.int64)))
    shifted = _floor_quotient(node, value, half)
    last = node.make("Equal", within, node.constant(bits - 1, np.int64))
    sign = node.cast(node.make("Less", value, node.constant(0, node.output_dtype)), node.output_dtype)
    return node.finish("Where", last, node.make("Neg", sign), shifted)


def _floor_quotient(node: Replacement, dividend: str, divisor: str) -> str:
    """Divide integers and round down: subtract one if the truncated quotient has another remainder."""
    truncated = node.make("Div", dividend, divisor)
    rest = node.make("Sub", dividend, node.make("Mul", truncated, divisor))
    differs = node.make("Not", node.make("Equal", rest, node.make("Mod", dividend, divisor)))
    return node.make("Sub", truncated, node.cast(differs, node.output_dtype))


def _pow(node: Replacement) -> None:
    """Write x^0.5 and x^-0.5 as roots, as TensorFlow's graph optimizer does: they differ at -infinity."""
    exponent = node.static(1)
    shapes = node.shape(node.inputs[0]), node.shape(node.inputs[1])
    if exponent is None or exponent.size != 1 or exponent.dtype.kind != "f" or shapes[0] is None:
        return node.finish("Pow", *node.inputs)
    if abs(float(exponent.item())) != 0.5 or exponent.ndim > len(shapes[0]):
        return node.finish("Pow", *node.inputs)
    if exponent.item() > 0:
        return node.finish("Sqrt", node.inputs[0])
    return node.finish("Reciprocal", node.make("Sqrt", node.inputs[0]))


def _in_float32(operator: str) -> Callable[[Replacement], None]:
    """Return a writer that computes float16 in float32: onnxruntime overflows, loses NaN or has no kernel."""

    def write(node: Replacement) -> None:
        if node.dtype(node.inputs[0]) != np.float16:
            return node.finish(operator, node.inputs[0])
        answer = node.make(operator, node.cast(node.inputs[0], np.float32))
        return node.finish_cast(answer)

    return write


def _sum(node: Replacement) -> None:
    """Sum int64 in two halves: onnxruntime sums integers as double, which is exact only up to 2^53."""
    value, axes = node.inputs
    axes = node.make("Reshape", node.cast(axes, np.int64), node.constant([-1], np.int64))
    reduction = {"keepdims": int(node.node.get_attr_value("keep_dims", 0)), "noop_with_empty_axes": 1}
    if node.output_dtype not in (np.int64, np.uint64):
        return node.finish("ReduceSum", value, axes, **reduction)
    base = node.constant(2**32, np.int64)
    whole = node.cast(value, np.int64)
    low = node.make("Mod", whole, base)
    high = node.make("Div", node.make("Sub", whole, low), base)
    low, high = (node.make("ReduceSum", half, axes, **reduction) for half in (low, high))
    return node.finish_cast(node.make("Add", node.make("Mul", high, base), low))


def _prod(node: Replacement) -> None:
    """Multiply integers in halves: onnxruntime's ReduceProd saturates, TensorFlow's wraps around."""
    value, axes = node.inputs[0], node.static(1)
    shape, keep = node.shape(value), int(node.node.get_attr_value("keep_dims", 0))
    if axes is None or shape is None:
        return
    places = [int(axis) % len(shape) for axis in axes.reshape(-1)]
    if node.output_dtype.kind not in "iu" or any(shape[axis] < 0 for axis in places):
        places = places or list(range(len(shape)))
        return node.finish("ReduceProd", value, axes=places, keepdims=keep)
    one = _one(node)
    for axis in places:
        half = 1 << max(shape[axis] - 1, 0).bit_length()
        pads = np.zeros(2 * len(shape), np.int64)
        pads[len(shape) + axis] = half - shape[axis]
        value = node.make("Pad", value, node.constant(pads), one) if pads.any() else value
        while half > 1:
            half //= 2
            left, right = (
                node.make("Slice", value, *(node.constant([edge], np.int64) for edge in (first, last, axis)))
                for first, last in ((0, half), (half, 2 * half))
            )
            value = node.make("Mul", left, right)
    node.finish("Identity", value if keep or not places else node.axes("Squeeze", value, *places))


def _softplus(node: Replacement) -> None:
    """Write max(x, 0) + log(1 + exp(-|x|)) in float64, for which onnxruntime has no Softplus."""
    if node.output_dtype != np.float64:
        return _in_float32("Softplus")(node)
    value = node.inputs[0]
    small = node.make("Exp", node.make("Neg", node.make("Abs", value)))
    rest = node.make("Log", node.make("Add", small, _one(node)))
    return node.finish("Add", node.make("Max", value, node.constant(0, np.float64)), rest)


def _arctan2(node: Replacement) -> None:
    """Compute the angle of the smaller over the larger of |y| and |x|, up to 45 degrees, and rotate it."""
    y, x = node.inputs
    zero, one, half_turn = (node.constant(value, node.output_dtype) for value in (0, 1, np.pi))
    height, width = node.make("Abs", y), node.make("Abs", x)
    smaller, larger = node.make("Min", height, width), node.make("Max", height, width)
    # The ratio of two zeros is 0, of two infinities 1; their quotient is NaN.
    ratio = node.make("Where", node.make("Equal", smaller, larger), one, node.make("Div", smaller, larger))
    ratio = node.make("Where", node.make("Equal", smaller, zero), smaller, ratio)
    angle = node.make("Atan", ratio)
    steep = node.make("Greater", height, width)
    quarter = node.constant(np.pi / 2, node.output_dtype)
    angle = node.make("Where", steep, node.make("Sub", quarter, angle), angle)
    angle = node.make("Where", _is_negative(node, x), node.make("Sub", half_turn, angle), angle)
    return node.finish("Where", _is_negative(node, y), node.make("Neg", angle), angle)


def _is_negative(node: Replacement, value: str) -> str:
    """Return whether the sign bit of a number is set, as for -0.0."""
    zero = node.constant(0, node.output_dtype)
    below = node.make("Less", value, zero)
    return node.make("Or", below, node.make("Less", node.make("Reciprocal", value), zero))


def _is_finite(node: Replacement) -> None:
    """Compare x - x with 0, which is equal only for finite x."""
    zero = node.constant(0, node.dtype(node.inputs[0]))
    node.finish("Equal", node.make("Sub", node.inputs[0], node.inputs[0]), zero)


def _bucketize(node: Replacement) -> None:
    """Count the boundaries up to x, as Keras's Discretization does."""
    dtype = node.dtype(node.inputs[0])
    given = np.asarray(node.node.get_attr_value("boundaries"), np.float32)
    # Integers are compared as double. This is exact: boundaries are float32, and none is close to an int64
    # beyond 2^53.
    compared = np.dtype(np.float32 if dtype in (np.float16, np.float32) else np.float64)
    values = node.axes("Unsqueeze", node.cast(node.inputs[0], compared), -1)
    below = node.make("Less", values, node.constant(given, compared))
    reached = node.cast(node.make("Not", below), np.int32)
    node.finish("ReduceSum", reached, node.constant([-1], np.int64), keepdims=0)


def _where(node: Replacement) -> None:
    """Write Where: tf2onnx multiplies by 0 and 1, which propagates a NaN of the other branch."""
    node.finish("Where", *node.inputs)


def _relu(node: Replacement) -> None:
    if _is_float(node):
        return node.finish("Relu", node.inputs[0])
    return node.finish("Max", node.inputs[0], node.constant(0, node.output_dtype))


def _cross(node: Replacement) -> None:
    left, right = node.inputs
    after, later = node.constant([1, 2, 0], np.int64), node.constant([2, 0, 1], np.int64)

    def product(first: str, second: str) -> str:
        return node.make(
            "Mul",
            node.make("Gather", left, first, axis=-1),
            node.make("Gather", right, second, axis=-1),
        )

    node.finish("Sub", product(after, later), product(later, after))


def _cumprod(node: Replacement) -> None:
    """Multiply by the values 1, 2, 4 ... positions before, until a product contains all of them."""
    axis, shape = node.static(1), node.shape(node.inputs[0])
    if axis is None or shape is None or shape[int(axis)] < 0:
        return
    size = shape[int(axis)]
    reverse = bool(node.node.get_attr_value("reverse", 0))
    product = node.inputs[0]
    if node.node.get_attr_value("exclusive", 0):
        product = _moved(node, product, 1, int(axis) % len(shape), len(shape), reverse)
    distance = 1
    while distance < size:
        before = _moved(node, product, distance, int(axis) % len(shape), len(shape), reverse)
        product = node.make("Mul", product, before)
        distance *= 2
    node.finish("Identity", product)


def _moved(node: Replacement, value: str, by: int, axis: int, rank: int, back: bool) -> str:
    """Return a value shifted along an axis and filled with ones."""
    pads = [0] * (2 * rank)
    pads[axis], pads[axis + rank] = (-by, by) if back else (by, -by)
    return node.make("Pad", value, node.constant(pads, np.int64), _one(node))


def _in_top_k(node: Replacement) -> None:
    """Return whether fewer than k scores exceed the score of the target, and all scores are finite."""
    scores, targets, count = node.inputs
    shape = node.shape(scores)
    if shape is None:
        return
    zero, last = node.constant(0, np.float32), node.constant([-1], np.int64)
    end = node.axes("Squeeze", node.sizes(scores, 1, 2), 0)
    classes = node.make("Range", node.constant(0, np.int64), end, node.constant(1, np.int64))
    chosen = node.make("Equal", node.axes("Unsqueeze", node.cast(targets, np.int64), -1), classes)
    score = node.make("ReduceSum", node.make("Where", chosen, scores, zero), last, keepdims=1)
    above = node.cast(node.make("Greater", scores, score), np.int64)
    few = node.make("Less", node.make("ReduceSum", above, last, keepdims=0), node.cast(count, np.int64))
    finite = node.make("Equal", node.make("Sub", scores, scores), zero)
    # A target that is not a class is in no top.
    counted = node.make("ReduceSum", node.cast(chosen, np.int64), last, keepdims=0)
    known = node.make("Greater", counted, node.constant(0, np.int64))
    infinite = node.cast(node.make("Not", finite), np.int64)
    bounded = node.make(
        "Equal", node.make("ReduceSum", infinite, last, keepdims=0), node.constant(0, np.int64)
    )
    node.finish("And", node.make("And", few, known), bounded)


def _einsum(node: Replacement) -> None:
    """Rename the axes to lowercase letters: tf2onnx lowercases all, which merges `A` and `a`."""
    equation = node.node.get_attr_value("equation").decode().replace(" ", "")
    letters = dict.fromkeys(letter for letter in equation if letter.isalpha())
    if len(letters) <= 26:
        names = dict(zip(letters, "abcdefghijklmnopqrstuvwxyz", strict=False))
        equation = "".join(names.get(letter, letter) for letter in equation)
    node.finish("Einsum", *node.inputs, equation=equation)


NUMBERS: dict[str, Handler] = {
    "Atan2": replaced_by(_arctan2),
    "Cross": replaced_by(_cross),
    "Relu": replaced_by(_relu),
    "Cumprod": replaced_by(_cumprod),
    "Einsum": replaced_by(_einsum),
    "InTopKV2": replaced_by(_in_top_k),
    "Bucketize": replaced_by(_bucketize),
    "Erfc": replaced_by(_erfc),
    "Expm1": replaced_by(_expm1),
    "FloorDiv": replaced_by(_floor_div),
    "FloorMod": replaced_by(_floor_mod),
    "IsFinite": replaced_by(_is_finite),
    "IsInf": replaced_by(_in_float32("IsInf")),
    "LeftShift": replaced_by(_shift),
    "Log1p": replaced_by(_log1p),
    "Mod": replaced_by(_truncate_mod),
    "Pow": replaced_by(_pow),
    "Prod": replaced_by(_prod),
    "RightShift": replaced_by(_shift),
    "Select": replaced_by(_where),
    "SelectV2": replaced_by(_where),
    "Sign": replaced_by(_in_float32("Sign")),
    "Softplus": replaced_by(_softplus),
    "Sum": replaced_by(_sum),
    "TruncateDiv": replaced_by(_truncate_div),
    "TruncateMod": replaced_by(_truncate_mod),
    # tf2onnx casts their operands to float32; `onnx_kernels` casts where onnxruntime has no kernel.
    **dict.fromkeys(("Greater", "Less", "Log"), LEFT_AS_IT_IS),
}
