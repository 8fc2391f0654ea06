"""TensorFlow's operators on numbers, in ONNX's terms and for every dtype.

tf2onnx leaves some out, and writes others so that they differ: integers pass through float32, which holds
them up to 2^24, and the quotient of negative integers is truncated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_dl_export.formats.onnx.onnx_nodes import LEFT_AS_IT_IS, Handler, Replacement, replaced_by


def _one(node: Replacement) -> str:
    return node.constant(1, node.output_dtype)


def _erfc(node: Replacement) -> None:
    """erfc(x) = 1 - erf(x); what Keras's gelu is made of."""
    node.finish("Sub", _one(node), node.make("Erf", node.inputs[0]))


def _expm1(node: Replacement) -> None:
    """expm1(x) = exp(x) - 1; what Keras's celu is made of."""
    node.finish("Sub", node.make("Exp", node.inputs[0]), _one(node))


def _log1p(node: Replacement) -> None:
    node.finish("Log", node.make("Add", node.inputs[0], _one(node)))


def _is_float(node: Replacement) -> bool:
    return node.dtype(node.inputs[0]).kind == "f"


def _operands(node: Replacement) -> list[str]:
    """Return dividend and divisor, -x and 1 for x and -1: -2^31 by -1 ends onnxruntime's process."""
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
    """Round the quotient down; ONNX's Div of integers rounds it towards zero."""
    dividend, divisor = _operands(node)
    if _is_float(node):
        return node.finish("Floor", node.make("Div", dividend, divisor))
    if node.output_dtype.kind == "u":
        return node.finish("Div", dividend, divisor)
    return node.finish("Identity", _floor_quotient(node, dividend, divisor))


def _floor_mod(node: Replacement) -> None:
    """The remainder with the divisor's sign, as in Python: Mod of integers is it, fmod of floats is not."""
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
    """Multiply or divide by 2^n; ONNX's BitShift is for unsigned integers."""
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
    # 2^(bits - 1) is the lowest number: there the sign alone remains, as one place less and one more give.
    half = node.make("Gather", powers, node.make("Min", within, node.constant(bits - 2, np.int64)))
    shifted = _floor_quotient(node, value, half)
    last = node.make("Equal", within, node.constant(bits - 1, np.int64))
    sign = node.cast(node.make("Less", value, node.constant(0, node.output_dtype)), node.output_dtype)
    return node.finish("Where", last, node.make("Neg", sign), shifted)


def _floor_quotient(node: Replacement, dividend: str, divisor: str) -> str:
    """Divide integers, rounding down: one less where the truncated quotient leaves another remainder."""
    truncated = node.make("Div", dividend, divisor)
    rest = node.make("Sub", dividend, node.make("Mul", truncated, divisor))
    differs = node.make("Not", node.make("Equal", rest, node.make("Mod", dividend, divisor)))
    return node.make("Sub", truncated, node.cast(differs, node.output_dtype))


def _pow(node: Replacement) -> None:
    """x^0.5 and x^-0.5 are roots, as TensorFlow's graph optimizer has it: they differ at -infinity."""
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
    """Compute halves in float32: onnxruntime overflows, drops NaN or has no kernel in float16."""

    def write(node: Replacement) -> None:
        if node.dtype(node.inputs[0]) != np.float16:
            return node.finish(operator, node.inputs[0])
        answer = node.make(operator, node.cast(node.inputs[0], np.float32))
        return node.finish_cast(answer)

    return write


def _sum(node: Replacement) -> None:
    """Add up int64 in two halves: onnxruntime adds up integers as double, which holds them up to 2^53."""
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
    """Multiply integers in halves: onnxruntime's ReduceProd saturates where TensorFlow's wraps around."""
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
    """Compute max(x, 0) + log(1 + exp(-|x|)) in float64, which onnxruntime has no Softplus of."""
    if node.output_dtype != np.float64:
        return _in_float32("Softplus")(node)
    value = node.inputs[0]
    small = node.make("Exp", node.make("Neg", node.make("Abs", value)))
    rest = node.make("Log", node.make("Add", small, _one(node)))
    return node.finish("Add", node.make("Max", value, node.constant(0, np.float64)), rest)


def _arctan2(node: Replacement) -> None:
    """Take the angle of the smaller by the larger of |y| and |x|, which is up to 45 degrees, and turn it."""
    y, x = node.inputs
    zero, one, half_turn = (node.constant(value, node.output_dtype) for value in (0, 1, np.pi))
    height, width = node.make("Abs", y), node.make("Abs", x)
    smaller, larger = node.make("Min", height, width), node.make("Max", height, width)
    # Two zeros are 0, two infinities 1: neither is their quotient.
    ratio = node.make("Where", node.make("Equal", smaller, larger), one, node.make("Div", smaller, larger))
    ratio = node.make("Where", node.make("Equal", smaller, zero), smaller, ratio)
    angle = node.make("Atan", ratio)
    steep = node.make("Greater", height, width)
    quarter = node.constant(np.pi / 2, node.output_dtype)
    angle = node.make("Where", steep, node.make("Sub", quarter, angle), angle)
    angle = node.make("Where", _is_negative(node, x), node.make("Sub", half_turn, angle), angle)
    return node.finish("Where", _is_negative(node, y), node.make("Neg", angle), angle)


def _is_negative(node: Replacement, value: str) -> str:
    """Return whether a number has a minus, as -0.0 has."""
    zero = node.constant(0, node.output_dtype)
    below = node.make("Less", value, zero)
    return node.make("Or", below, node.make("Less", node.make("Reciprocal", value), zero))


def _is_finite(node: Replacement) -> None:
    """Compare x - x with 0, which it is for finite x alone."""
    zero = node.constant(0, node.dtype(node.inputs[0]))
    node.finish("Equal", node.make("Sub", node.inputs[0], node.inputs[0]), zero)


def _bucketize(node: Replacement) -> None:
    """The number of boundaries up to x; what Keras's Discretization is made of."""
    dtype = node.dtype(node.inputs[0])
    given = np.asarray(node.node.get_attr_value("boundaries"), np.float32)
    # Integers are compared as double: every boundary is a float32, and int64 beyond 2^53 has none beside it.
    compared = np.dtype(np.float32 if dtype in (np.float16, np.float32) else np.float64)
    values = node.axes("Unsqueeze", node.cast(node.inputs[0], compared), -1)
    below = node.make("Less", values, node.constant(given, compared))
    reached = node.cast(node.make("Not", below), np.int32)
    node.finish("ReduceSum", reached, node.constant([-1], np.int64), keepdims=0)


def _where(node: Replacement) -> None:
    """Where; tf2onnx multiplies by 0 and 1, which lets a NaN of the other branch through."""
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
    """Multiply each place by that 1, 2, 4 ... places before it, until all before it are in the product."""
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
    """Return a value moved along an axis, with ones where it was."""
    pads = [0] * (2 * rank)
    pads[axis], pads[axis + rank] = (-by, by) if back else (by, -by)
    return node.make("Pad", value, node.constant(pads, np.int64), _one(node))


def _in_top_k(node: Replacement) -> None:
    """Fewer than k scores are above that of the target, and all are finite."""
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
    # A target that is no class has no score, and is in no top.
    counted = node.make("ReduceSum", node.cast(chosen, np.int64), last, keepdims=0)
    known = node.make("Greater", counted, node.constant(0, np.int64))
    infinite = node.cast(node.make("Not", finite), np.int64)
    bounded = node.make(
        "Equal", node.make("ReduceSum", infinite, last, keepdims=0), node.constant(0, np.int64)
    )
    node.finish("And", node.make("And", few, known), bounded)


def _einsum(node: Replacement) -> None:
    """Name the axes anew, by small letters: tf2onnx writes all small, and makes one axis of `A` and `a`."""
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
