"""Operators on integers that TFLite lacks, or takes for those of quantized numbers.

Each of them is exact on the whole range of its dtype.
"""

from __future__ import annotations

from typing import Any

from keras_dl_export.lowering.operators import Operator, Replacement

Tensor = Any


def _is_int64(operator: Operator) -> bool:
    return bool(operator.inputs[0].dtype.name == "int64")


def _is_int32(operator: Operator) -> bool:
    return bool(operator.inputs[0].dtype.name == "int32")


def _is_narrow(operator: Operator) -> bool:
    dtype = operator.inputs[0].dtype
    return bool(dtype.is_integer and dtype.size < 4)


def _abs(operator: Operator) -> Tensor:
    import tensorflow as tf

    (x,) = operator.inputs
    return tf.maximum(x, -x)


def _sign(operator: Operator) -> Tensor:
    import tensorflow as tf

    (x,) = operator.inputs
    return tf.cast(x > 0, x.dtype) - tf.cast(x < 0, x.dtype)


def _relu6(operator: Operator) -> Tensor:
    import tensorflow as tf

    (x,) = operator.inputs
    return tf.minimum(tf.maximum(x, tf.zeros((), x.dtype)), tf.constant(6, x.dtype))


def _invert(operator: Operator) -> Tensor:
    """Return -1 - x, the two's complement."""
    import tensorflow as tf

    (x,) = operator.inputs
    return tf.constant(-1, x.dtype) - x


def _floor_div(operator: Operator) -> Tensor:
    """Divide what is divisible once the remainder is gone, in floats of 24 bits that are refined.

    An estimate of the quotient is off by 2^-22 of it: of the largest, three leave less than one half.
    """
    import tensorflow as tf

    x, y = operator.inputs
    divisible = x - tf.math.floormod(x, y)
    divisor = tf.cast(y, tf.float32)
    quotient = tf.cast(tf.round(tf.cast(divisible, tf.float32) / divisor), tf.int64)
    for _ in range(3):
        error = tf.cast(divisible - quotient * y, tf.float32)
        quotient += tf.cast(tf.round(error / divisor), tf.int64)
    return quotient


def _place(operator: Operator) -> Tensor:
    """Return the first place of the largest or smallest."""
    import tensorflow as tf

    x, axis = operator.inputs
    reduce = tf.reduce_max if operator.type == "ArgMax" else tf.reduce_min
    found = tf.cast(tf.equal(x, reduce(x, axis, keepdims=True)), tf.int32)
    dtype = tf.dtypes.as_dtype(operator.attributes["output_type"].type)
    return tf.argmax(found, axis, output_type=dtype)


def _power(operator: Operator) -> Tensor:
    """Multiply and square, by the bits of a constant exponent."""
    import tensorflow as tf

    square, exponent = operator.inputs[0], int(tf.get_static_value(operator.inputs[1]))
    power = None
    while exponent:
        if exponent % 2:
            power = square if power is None else power * square
        square, exponent = square * square, exponent // 2
    return tf.ones_like(square) if power is None else power


def _has_constant_exponent(operator: Operator) -> bool:
    import tensorflow as tf

    exponent = tf.get_static_value(operator.inputs[1])
    return _is_int64(operator) and exponent is not None and exponent.size == 1 and 0 <= exponent < 64


def _shift_left(operator: Operator) -> Tensor:
    import tensorflow as tf

    x, bits = operator.inputs
    return x * tf.constant(2 ** tf.get_static_value(bits), x.dtype)


def _is_shifted_by_a_constant(operator: Operator) -> bool:
    import tensorflow as tf

    bits = tf.get_static_value(operator.inputs[1])
    return (
        operator.inputs[0].dtype.name in ("int32", "int64")
        and bits is not None
        and (bits >= 0).all()
        and (bits < 31).all()
    )


def _both(x: Tensor, y: Tensor) -> Tensor:
    """Return x & y of int32: twice that of all bits but the last is x // 2 + y // 2 - (x // 2 ^ y // 2)."""
    import tensorflow as tf

    upper_x, upper_y = tf.bitwise.right_shift(x, 1), tf.bitwise.right_shift(y, 1)
    return upper_x + upper_y - tf.bitwise.bitwise_xor(upper_x, upper_y) + (x % 2) * (y % 2)


def _and(operator: Operator) -> Tensor:
    return _both(*operator.inputs)


def _or(operator: Operator) -> Tensor:
    x, y = operator.inputs
    return x + (y - _both(x, y))


def _matmul_of_int8(operator: Operator) -> Tensor:
    """Multiply in floats, as many products at a time as 24 bits hold exactly the sum of.

    TFLite takes int8 for quantized numbers with a scale; Keras's quantized layers multiply plain ones.
    """
    import tensorflow as tf

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
    """Sum the products themselves: TFLite multiplies matrices of floats and quantized numbers alone."""
    import tensorflow as tf

    x, y = operator.inputs
    first, second = (
        any(operator.attributes[name].b for name in names if name in operator.attributes)
        for names in (("transpose_a", "adj_x"), ("transpose_b", "adj_y"))
    )
    x = tf.linalg.matrix_transpose(x) if first else x
    y = tf.linalg.matrix_transpose(y) if second else y
    return tf.reduce_sum(tf.expand_dims(x, -1) * tf.expand_dims(y, -3), -2)


def _is_whole(operator: Operator) -> bool:
    return _is_int32(operator) or _is_int64(operator)


def _as_int32(operator: Operator) -> Any:
    """Make the same operator of 32 bits, and cut what comes out."""
    import tensorflow as tf
    from tensorflow.python.framework import op_def_library, op_def_registry

    definition = op_def_registry.get(operator.type)
    inferred = {argument.type_attr for argument in definition.input_arg}
    attributes = {
        name: tf.dtypes.as_dtype(value.type) if value.HasField("type") else value.b
        for name, value in operator.attributes.items()
        if name not in inferred and not name.startswith("_")
    }
    narrow = operator.inputs[0].dtype
    tensors = {
        argument.name: tf.cast(tensor, tf.int32) if argument.type_attr == "T" else tensor
        for argument, tensor in zip(definition.input_arg, operator.inputs, strict=True)
    }
    outputs = op_def_library.apply_op(operator.type, **tensors, **attributes)
    outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    return [
        tf.cast(tensor, narrow) if argument.type_attr == "T" else tensor
        for argument, tensor in zip(definition.output_arg, outputs, strict=True)
    ]


_ARITHMETIC = """
    Abs Add AddV2 ArgMax ArgMin BatchMatMulV2 Cumsum Equal FloorDiv FloorMod Greater GreaterEqual Less
    LessEqual MatMul Max Maximum Min Minimum Mul Neg NotEqual Pow Prod Relu Sign Square SquaredDifference
    Sub Sum TopKV2
"""

ON_NARROW = {name: Replacement(_as_int32, _is_narrow) for name in _ARITHMETIC.split()}
ON_INT64 = {
    "Abs": Replacement(_abs, _is_int64),
    "ArgMax": Replacement(_place, _is_int64),
    "ArgMin": Replacement(_place, _is_int64),
    "FloorDiv": Replacement(_floor_div, _is_int64),
    "Pow": Replacement(_power, _has_constant_exponent),
    "Sign": Replacement(_sign, _is_int64),
}
ON_INTEGERS = {
    "BatchMatMulV2": Replacement(_matmul, _is_whole),
    "BatchMatMulV3": Replacement(_matmul_of_int8, _multiplies_int8),
    "BitwiseAnd": Replacement(_and, _is_int32),
    "BitwiseOr": Replacement(_or, _is_int32),
    "Invert": Replacement(_invert, lambda operator: not _is_narrow(operator)),
    "LeftShift": Replacement(_shift_left, _is_shifted_by_a_constant),
    "MatMul": Replacement(_matmul, _is_whole),
    "Relu6": Replacement(_relu6, _is_whole),
}
