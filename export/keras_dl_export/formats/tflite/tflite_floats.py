"""Float operators that TFLite does not have, or computes differently than TensorFlow.

Each entry was found by comparing the stock interpreter with TensorFlow on negative, large, infinite and NaN
values. Operators that agree are not replaced, so ordinary models have no additional operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_dl_export.insight import MIXING
from keras_dl_export.lowering.operators import Operator, Replacement

Tensor = Any


def _is_float(operator: Operator) -> bool:
    return bool(operator.inputs[0].dtype.is_floating)


def _constant(tensor: Tensor) -> Any:
    return tf.get_static_value(tensor)


def _unless_missing(x: Tensor, y: Tensor) -> Tensor:
    """Return y, or NaN where x is NaN."""
    return tf.where(tf.not_equal(x, x), x, y)


def _softplus(operator: Operator) -> Tensor:
    """Return max(x, 0) + log(1 + exp(-|x|)); the converter's log(exp(x) + 1) is infinite from 89 on."""
    (x,) = operator.inputs
    return tf.nn.relu(x) + tf.math.log(1.0 + tf.exp(-tf.abs(x)))  # relu(NaN) is NaN


def _exp(x: Tensor) -> Tensor:
    """Return exp(x) and keep NaN, for which XNNPACK returns 0."""
    return _unless_missing(x, tf.exp(x))


def _expm1(x: Tensor) -> Tensor:
    """Return exp(x) - 1; near zero as 2 t / (1 - t) with t = tanh(x / 2), to avoid cancellation."""
    t = tf.tanh(0.5 * x)
    return tf.where(tf.abs(x) < 1.0, 2.0 * t / (1.0 - t), _exp(x) - 1.0)


def _half_exp(x: Tensor) -> Tensor:
    """Return exp(x) / 2, which overflows later than exp(x)."""
    root = _exp(0.5 * x)
    return 0.5 * root * root


def _selu(operator: Operator) -> Tensor:
    (x,) = operator.inputs
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return tf.where(x > 0.0, scale * x, (scale * alpha) * tf.nn.elu(x))


def _sqrt(x: Tensor) -> Tensor:
    """Return sqrt(x) and keep infinity, for which XNNPACK returns NaN on some processors."""
    return tf.where(tf.equal(x, tf.constant(np.inf, x.dtype)), x, tf.sqrt(x))


def _rsqrt(operator: Operator) -> Tensor:
    """Return 1 / sqrt(x) without RSQRT, for which XNNPACK returns NaN at 0 and which replaces 1 / sqrt(x)."""
    reciprocal = 1.0 / operator.inputs[0]
    infinite = tf.equal(tf.abs(reciprocal), tf.constant(np.inf, reciprocal.dtype))
    return tf.where(infinite, reciprocal, tf.sqrt(reciprocal))


def _sigmoid(operator: Operator) -> Tensor:
    """Return sigmoid of a clipped x: XNNPACK returns NaN from 1e28 on; the values saturate long before."""
    (x,) = operator.inputs
    return _unless_missing(x, tf.sigmoid(tf.clip_by_value(x, -100.0, 100.0)))


def _is_as_large_as_an_input(operator: Operator) -> bool:
    """Return whether the input is a model input that was neither multiplied by weights nor summed.

    After a convolution or a dense layer such magnitudes do not occur, and an additional operator costs time.
    """
    reached, seen = [operator.inputs[0]], set()
    while reached:
        operation = getattr(reached.pop(), "op", None)
        if operation is None or operation.name in seen or operation.type in MIXING:
            continue
        seen.add(operation.name)
        if operation.type == "Placeholder" and operation.outputs[0].dtype.is_floating:
            # Inputs of a loop's body are computed outside, such as a recurrent layer's projected inputs.
            return not hasattr(operation.graph.outer_graph, "outer_graph")
        reached += operation.inputs
    return False


# Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
_ERFC = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


def _erfc(x: Tensor) -> Tensor:
    """Return a polynomial in t = 1 / (1 + 0.3275911 |x|), times exp(-x^2): exact to 1.5e-7."""
    t = 1.0 / (1.0 + 0.3275911 * tf.abs(x))
    polynomial = tf.zeros_like(t)
    for factor in reversed(_ERFC):
        polynomial = (polynomial + factor) * t
    tail = polynomial * tf.exp(-x * x)
    return tf.where(x < 0.0, 2.0 - tail, tail)


def _is_not_of_gelu(operator: Operator) -> bool:
    """Return whether the input is not x * sqrt(2) or x / sqrt(2), which the converter fuses to GELU."""
    (x,) = operator.inputs
    op = getattr(x, "op", None)
    factors = [] if op is None or op.type not in ("Mul", "RealDiv") else [*map(_constant, op.inputs)]
    roots = [2.0**0.5, 0.5**0.5]
    return _is_float(operator) and not any(
        factor is not None and factor.size == 1 and np.isclose(np.abs(factor), roots).any()
        for factor in factors
    )


def _extremum(operator: Operator) -> Tensor:
    """Return the largest or smallest value, or NaN, which TFLite's operators skip."""
    x, axes = operator.inputs
    keepdims = operator.attributes["keep_dims"].b
    reduce = tf.reduce_max if operator.type == "Max" else tf.reduce_min
    missing = tf.reduce_any(tf.not_equal(x, x), axes, keepdims=keepdims)
    return tf.where(missing, tf.constant(np.nan, x.dtype), reduce(x, axes, keepdims=keepdims))


def _sign(x: Tensor) -> Tensor:
    return _unless_missing(x, tf.sign(x))


def _may_be_zero(operator: Operator) -> bool:
    """Return whether the input can be zero, because no epsilon is added as in a normalization."""
    (x,) = operator.inputs
    if not x.dtype.is_floating or _constant(x) is not None:
        return False
    if getattr(x, "op", None) is None or x.op.type not in ("Add", "AddV2", "Maximum"):
        return True
    floors = [_constant(tensor) for tensor in x.op.inputs]
    return not any(floor is not None and (floor > 0).all() for floor in floors)


def _sum_of_squares(operator: Operator) -> Tensor:
    """Sum x * x: the converter fuses the root of a sum of Square to L2_NORMALIZATION without the epsilon."""
    squares, axes = operator.inputs
    x = squares.op.inputs[0]
    return tf.reduce_sum(x * x, axes, keepdims=operator.attributes["keep_dims"].b)


def _is_of_squares(operator: Operator) -> bool:
    op = getattr(operator.inputs[0], "op", None)
    return op is not None and op.type == "Square"


def _larger_or_missing(operator: Operator) -> Tensor:
    """Return the extremum and keep NaN in x: TFLite's extremum of NaN and y is y, of x and NaN it is NaN."""
    x, y = operator.inputs
    extremum = tf.maximum if operator.type == "Maximum" else tf.minimum
    return _unless_missing(x, extremum(x, y))


def _is_of_two_floats(operator: Operator) -> bool:
    return _is_float(operator) and all(_constant(tensor) is None for tensor in operator.inputs)


def _cast(operator: Operator) -> Tensor:
    """Cast to 8 or 16 bits by way of int32: TFLite's direct cast saturates, TensorFlow's wraps around."""
    target = tf.dtypes.as_dtype(operator.attributes["DstT"].type)
    return tf.cast(tf.cast(operator.inputs[0], tf.int32), target)


def _float_floor_div(operator: Operator) -> Tensor:
    """Return floor(x / y): FLOOR_DIV fails if a float is divided by zero."""
    x, y = operator.inputs
    return tf.floor(tf.realdiv(x, y))


def _narrows_float(operator: Operator) -> bool:
    target = tf.dtypes.as_dtype(operator.attributes["DstT"].type)
    return _is_float(operator) and target.is_integer and target.size < 4


def _asinh(x: Tensor) -> Tensor:
    """Return sign(x) log(|x| + sqrt(x^2 + 1)); the sign avoids cancellation below zero."""
    return tf.sign(x) * tf.math.log(tf.abs(x) + tf.sqrt(x * x + 1.0))


def _acosh(x: Tensor) -> Tensor:
    return tf.math.log(x + tf.sqrt(x - 1.0) * tf.sqrt(x + 1.0))


def _atanh(x: Tensor) -> Tensor:
    return 0.5 * (tf.math.log(1.0 + x) - tf.math.log(1.0 - x))


def _tan(x: Tensor) -> Tensor:
    return tf.sin(x) / tf.cos(x)


def _floats(formula: Callable[[Tensor], Tensor]) -> Replacement:
    """Return the replacement of a function of one float tensor."""
    return Replacement(lambda operator: formula(operator.inputs[0]), _is_float)


ON_FLOATS = {
    "Acosh": _floats(_acosh),
    "Asinh": _floats(_asinh),
    "Atanh": _floats(_atanh),
    "Cast": Replacement(_cast, _narrows_float),
    "Cosh": _floats(lambda x: _half_exp(x) + _half_exp(-x)),
    "Erf": Replacement(lambda operator: 1.0 - _erfc(operator.inputs[0]), _is_not_of_gelu),
    "Erfc": Replacement(lambda operator: _erfc(operator.inputs[0]), _is_not_of_gelu),
    "Exp": _floats(_exp),
    "Expm1": _floats(_expm1),
    "FloorDiv": Replacement(_float_floor_div, _is_float),
    "Max": Replacement(_extremum, _is_float),
    "Maximum": Replacement(_larger_or_missing, _is_of_two_floats),
    "Min": Replacement(_extremum, _is_float),
    "Minimum": Replacement(_larger_or_missing, _is_of_two_floats),
    "Rsqrt": Replacement(_rsqrt, _may_be_zero),
    "Selu": Replacement(_selu, _is_float),
    "Sigmoid": Replacement(_sigmoid, _is_as_large_as_an_input),
    "Sign": _floats(_sign),
    "Sinh": _floats(lambda x: _half_exp(x) - _half_exp(-x)),
    "Softplus": Replacement(_softplus, _is_float),
    "Sqrt": Replacement(lambda operator: _sqrt(operator.inputs[0]), _is_float),
    "Sum": Replacement(_sum_of_squares, _is_of_squares),
    "Tan": _floats(_tan),
}
