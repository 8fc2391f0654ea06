"""Integer operators that TFLite does not have, or treats as operators on quantized numbers.

Each of them is exact on the whole range of its dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_dl_export.lowering.operators import Operator, Replacement

Tensor = Any


def _is_int64(operator: Operator) -> bool:
    return bool(operator.inputs[0].dtype.name == "int64")


def _is_int32(operator: Operator) -> bool:
    return bool(operator.inputs[0].dtype.name == "int32")


def _abs(operator: Operator) -> Tensor:
    (x,) = operator.inputs
    return tf.maximum(x, -x)


def _sign(operator: Operator) -> Tensor:
    (x,) = operator.inputs
    return tf.cast(x > 0, x.dtype) - tf.cast(x < 0, x.dtype)


def _relu6(operator: Operator) -> Tensor:
    (x,) = operator.inputs
    return tf.minimum(tf.maximum(x, tf.zeros((), x.dtype)), tf.constant(6, x.dtype))


def _invert(operator: Operator) -> Tensor:
    """Return -1 - x, the two's complement."""
    (x,) = operator.inputs
    return tf.constant(-1, x.dtype) - x


def floor_div(x: Tensor, y: Tensor) -> Tensor:
    """Return x // y of int64: subtract the remainder, divide in float32 and refine the quotient.

    An estimate of the quotient has a relative error of 2^-22; three refinements of the largest leave less
    than one half.
    """
    divisible = x - tf.math.floormod(x, y)
    divisor = tf.cast(y, tf.float32)
    quotient = tf.cast(tf.round(tf.cast(divisible, tf.float32) / divisor), tf.int64)
    for _ in range(3):
        error = tf.cast(divisible - quotient * y, tf.float32)
        quotient += tf.cast(tf.round(error / divisor), tf.int64)
    return quotient


def place(operator: Operator) -> Tensor:
    """Return the first index of the largest or smallest value."""
    x, axis = operator.inputs
    reduce = tf.reduce_max if operator.type == "ArgMax" else tf.reduce_min
    found = tf.cast(tf.equal(x, reduce(x, axis, keepdims=True)), tf.int32)
    dtype = tf.dtypes.as_dtype(operator.attributes["output_type"].type)
    return tf.argmax(found, axis, output_type=dtype)


def _power(operator: Operator) -> Tensor:
    """Multiply and square by the bits of a constant exponent."""
    square, exponent = operator.inputs[0], int(tf.get_static_value(operator.inputs[1]))
    power = None
    while exponent:
        if exponent % 2:
            power = square if power is None else power * square
        square, exponent = square * square, exponent // 2
    return tf.ones_like(square) if power is None else power


def _has_constant_exponent(operator: Operator) -> bool:
    exponent = tf.get_static_value(operator.inputs[1])
    return _is_int64(operator) and exponent is not None and exponent.size == 1 and 0 <= exponent < 64


def _shift_left(operator: Operator) -> Tensor:
    x, bits = operator.inputs
    return x * tf.constant(2 ** tf.get_static_value(bits), x.dtype)


def _is_shifted_by_a_constant(operator: Operator) -> bool:
    bits = tf.get_static_value(operator.inputs[1])
    return (
        operator.inputs[0].dtype.name in ("int32", "int64")
        and bits is not None
        and (bits >= 0).all()
        and (bits < 31).all()
    )


def _both(x: Tensor, y: Tensor) -> Tensor:
    """Return x & y of int32; without the last bit it is x // 2 + y // 2 - (x // 2 ^ y // 2)."""
    upper_x, upper_y = tf.bitwise.right_shift(x, 1), tf.bitwise.right_shift(y, 1)
    return upper_x + upper_y - tf.bitwise.bitwise_xor(upper_x, upper_y) + (x % 2) * (y % 2)


def _either(x: Tensor, y: Tensor) -> Tensor:
    return x + (y - _both(x, y))


def _matmul_of_int8(operator: Operator) -> Tensor:
    """Multiply in float32, in parts whose sums of products are exact in 24 bits.

    TFLite treats int8 as quantized numbers with a scale; Keras's quantized layers multiply plain integers.
    """
    first, second = (operator.attributes[name].b for name in ("adj_x", "adj_y"))
    x, y = (tf.cast(tensor, tf.float32) for tensor in operator.inputs)
    size = x.shape[-2 if first else -1]
    parts = -(-size // _EXACT_PRODUCTS)
    total = None
    for a, b in zip(
        tf.split(x, _parts(size, parts), -2 if first else -1),
        tf.split(y, _parts(size, parts), -1 if second else -2),
        strict=True,
    ):
        product = tf.cast(tf.matmul(a, b, transpose_a=first, transpose_b=second), tf.int32)
        total = product if total is None else total + product
    return total


_EXACT_PRODUCTS = 2**24 // 2**14


def _parts(size: int, parts: int) -> list[int]:
    whole = [_EXACT_PRODUCTS] * (parts - 1)
    return [*whole, size - sum(whole)]


def _multiplies_int8(operator: Operator) -> bool:
    x, y = operator.inputs
    return (
        x.dtype == y.dtype == "int8"
        and x.shape.rank is not None
        and x.shape[-2 if operator.attributes["adj_x"].b else -1] is not None
    )


def _matmul(operator: Operator) -> Tensor:
    """Multiply matrices by sums of products: TFLite supports only float and quantized matrices."""
    x, y = operator.inputs
    first, second = (
        any(operator.attributes[name].b for name in names if name in operator.attributes)
        for names in (("transpose_a", "adj_x"), ("transpose_b", "adj_y"))
    )
    x = tf.linalg.matrix_transpose(x) if first else x
    y = tf.linalg.matrix_transpose(y) if second else y
    return tf.reduce_sum(tf.expand_dims(x, -1) * tf.expand_dims(y, -3), -2)


def _shift_right(operator: Operator) -> Tensor:
    x, bits = operator.inputs
    return floor_div(x, tf.constant(2 ** tf.get_static_value(bits), x.dtype))


def _in_halves(of_int32: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Operator], Tensor]:
    """Return a bitwise function of int64, made of a bitwise function of int32."""

    def write(operator: Operator) -> Tensor:
        whole = tf.constant(2**32, tf.int64)
        zero, half = tf.constant(0, tf.int64), tf.constant(2**31, tf.int64)

        def halves(x: Tensor) -> tuple[Tensor, Tensor]:
            lower = tf.math.floormod(x, whole)
            signed = lower - tf.where(lower >= half, whole, zero)
            return tf.cast(floor_div(x, whole), tf.int32), tf.cast(signed, tf.int32)

        upper, lower = (
            tf.cast(of_int32(*pair), tf.int64) for pair in zip(*map(halves, operator.inputs), strict=True)
        )
        return upper * whole + lower + tf.where(lower < zero, whole, zero)

    return write


def _xor(x: Tensor, y: Tensor) -> Tensor:
    return tf.bitwise.bitwise_xor(x, y)


def _is_whole(operator: Operator) -> bool:
    return _is_int32(operator) or _is_int64(operator)


ON_INT64 = {
    "Abs": Replacement(_abs, _is_int64),
    "ArgMax": Replacement(place, _is_int64),
    "ArgMin": Replacement(place, _is_int64),
    "BitwiseAnd": Replacement(_in_halves(_both), _is_int64),
    "BitwiseOr": Replacement(_in_halves(_either), _is_int64),
    "BitwiseXor": Replacement(_in_halves(_xor), _is_int64),
    "FloorDiv": Replacement(lambda operator: floor_div(*operator.inputs), _is_int64),
    "Pow": Replacement(_power, _has_constant_exponent),
    "RightShift": Replacement(
        _shift_right, lambda operator: _is_int64(operator) and _is_shifted_by_a_constant(operator)
    ),
    "Sign": Replacement(_sign, _is_int64),
}
ON_INTEGERS = {
    "BatchMatMulV2": Replacement(_matmul, _is_whole),
    "BatchMatMulV3": Replacement(_matmul_of_int8, _multiplies_int8),
    "BitwiseAnd": Replacement(lambda operator: _both(*operator.inputs), _is_int32),
    "BitwiseOr": Replacement(lambda operator: _either(*operator.inputs), _is_int32),
    "Invert": Replacement(_invert, _is_whole),
    "LeftShift": Replacement(_shift_left, _is_shifted_by_a_constant),
    "MatMul": Replacement(_matmul, _is_whole),
    "Relu6": Replacement(_relu6, _is_whole),
}
