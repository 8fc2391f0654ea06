"""Operators whose dtype has no TFLite kernel, computed in a wider dtype that has one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_library, op_def_registry

from keras_dl_export.formats.tflite.tflite_integers import floor_div, place
from keras_dl_export.lowering.operators import Operator, Replacement

Tensor = Any


def _dtype(operator: Operator) -> Any:
    return tf.dtypes.as_dtype(operator.attributes["T"].type)


def _is_narrow(operator: Operator) -> bool:
    dtype = _dtype(operator)
    return bool(dtype.is_integer and dtype.size < 4)


def _is_uint32(operator: Operator) -> bool:
    return bool(_dtype(operator).name == "uint32")


def _is_float16(operator: Operator) -> bool:
    return bool(_dtype(operator).name == "float16")


def _computed_in(wide: str) -> Callable[[Operator], Any]:
    """Return a writer of the same operator in a wider dtype with its results cast back."""

    def write(operator: Operator) -> Any:
        definition = op_def_registry.get(operator.type)
        inferred = {argument.type_attr for argument in definition.input_arg}
        attributes = {
            name: tf.dtypes.as_dtype(value.type) if value.HasField("type") else value.b
            for name, value in operator.attributes.items()
            if name not in inferred and not name.startswith("_")
        }
        tensors = {
            argument.name: tf.cast(tensor, wide) if argument.type_attr == "T" else tensor
            for argument, tensor in zip(definition.input_arg, operator.inputs, strict=True)
        }
        outputs = op_def_library.apply_op(operator.type, **tensors, **attributes)
        outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        return [
            tf.cast(tensor, _dtype(operator)) if argument.type_attr == "T" else tensor
            for argument, tensor in zip(definition.output_arg, outputs, strict=True)
        ]

    return write


def _uint32_floor_div(operator: Operator) -> Tensor:
    return tf.cast(floor_div(*(tf.cast(tensor, tf.int64) for tensor in operator.inputs)), tf.uint32)


def _uint32_place(operator: Operator) -> Tensor:
    x, axis = operator.inputs
    return place(dataclasses.replace(operator, inputs=(tf.cast(x, tf.int64), axis)))


_ARITHMETIC = [
    "Abs",
    "Add",
    "AddV2",
    "ArgMax",
    "ArgMin",
    "BatchMatMulV2",
    "Cumsum",
    "Equal",
    "FloorDiv",
    "FloorMod",
    "Greater",
    "GreaterEqual",
    "Less",
    "LessEqual",
    "MatMul",
    "Max",
    "Maximum",
    "Min",
    "Minimum",
    "Mul",
    "Neg",
    "NotEqual",
    "Pow",
    "Prod",
    "Relu",
    "SelectV2",
    "Sign",
    "Square",
    "SquaredDifference",
    "Sub",
    "Sum",
    "TopKV2",
]
_OF_FLOATS = [
    "Ceil",
    "Cos",
    "Exp",
    "Floor",
    "Log",
    "Mean",
    "RealDiv",
    "Round",
    "Rsqrt",
    "Sigmoid",
    "Sin",
    "Softmax",
    "Sqrt",
    "Tanh",
]
_OF_UINT32 = ["FloorMod", "Max", "Maximum", "Min", "Minimum", "Neg", "SelectV2", "Sub", "Sum", "TopKV2"]

ON_NARROW = {name: Replacement(_computed_in("int32"), _is_narrow) for name in _ARITHMETIC}
ON_FLOAT16 = {name: Replacement(_computed_in("float32"), _is_float16) for name in _ARITHMETIC + _OF_FLOATS}
ON_UINT32 = {
    **{name: Replacement(_computed_in("int64"), _is_uint32) for name in _OF_UINT32},
    "ArgMax": Replacement(_uint32_place, _is_uint32),
    "ArgMin": Replacement(_uint32_place, _is_uint32),
    "FloorDiv": Replacement(_uint32_floor_div, _is_uint32),
}
